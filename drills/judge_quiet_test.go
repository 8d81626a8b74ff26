package drills

import (
	"strings"
	"testing"
	"time"
)

// TestReapedVerdicts: kept too long fails, kept at the end fails, and what nobody knows is never met.
func TestReapedVerdicts(t *testing.T) {
	t.Parallel()
	s := func(n float64) Duration { return Duration(n * float64(time.Second)) }
	two := 2
	for _, c := range []struct {
		name    string
		bound   func(*ReapedExpect)
		quiet   func(*QuietClients)
		load    func(*LoadMeasured)
		verdict Verdict
		why     string
	}{
		{name: "met", verdict: Met},
		{name: "too late", quiet: func(q *QuietClients) { q.Last = Span{s(30), s(31)} }, verdict: NotMet, why: "the last of the half-open sockets only after 30.000–31.000 s"},
		{name: "perhaps too late", quiet: func(q *QuietClients) { q.Last = Span{s(29), s(30)} }, verdict: Unclear},
		{name: "zombies", quiet: func(q *QuietClients) { q.Ended, q.Held = 9, 1 }, verdict: NotMet, why: "still held 1 of 10 half-open sockets"},
		{name: "zombies that are allowed", bound: func(x *ReapedExpect) { x.MaxHeld = &two }, quiet: func(q *QuietClients) { q.Ended, q.Held = 8, 2 }, verdict: Met},
		{name: "one too many", bound: func(x *ReapedExpect) { x.MaxHeld = &two }, quiet: func(q *QuietClients) { q.Ended, q.Held = 7, 3 }, verdict: NotMet, why: "3 of 10"},
		{name: "all kept", quiet: func(q *QuietClients) { q.Ended, q.Held, q.Last = 0, 10, Span{} }, verdict: NotMet, why: "10 of 10"},
		{name: "kept, and no deadline", bound: func(x *ReapedExpect) { x.Within, x.MaxHeld = 0, &two }, quiet: func(q *QuietClients) { q.Ended, q.Held = 0, 10 }, verdict: NotMet, why: "10 of 10"},
		{name: "nobody knows", quiet: func(q *QuietClients) { q.Ended, q.Unclear = 9, 1 }, verdict: Unclear, why: "nobody knows"},
		{name: "not silent for certain", quiet: func(q *QuietClients) { q.Silent, q.Ended, q.Unproven = 9, 9, 1 }, verdict: Unclear, why: "nobody knows"},
		{name: "some could not connect", load: func(m *LoadMeasured) { m.Wanted = 11 }, verdict: Unclear, why: "only 10 of 11"},
		{name: "another step's", load: func(m *LoadMeasured) { m.Step = "else" }, verdict: NotMeasured, why: "did not report"},
		{name: "an ordinary load", load: func(m *LoadMeasured) { m.Quiet = nil }, verdict: NotMeasured, why: "did not report"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := ReapedExpect{Step: "gone", Within: s(30)}
			q := QuietClients{Kind: HalfOpenClients, Silent: 10, Ended: 10, Last: Span{s(20), s(21)}}
			m := LoadMeasured{Step: "gone", Wanted: 10, Connected: 10, Quiet: &q}
			if c.bound != nil {
				c.bound(&x)
			}
			if c.quiet != nil {
				c.quiet(&q)
			}
			if c.load != nil {
				c.load(&m)
			}
			f := &folder{drill: &Drill{Expect: Expect{Reaped: []ReapedExpect{x}}}}
			f.rec.Load = []LoadMeasured{m}
			j := f.judgeReaped(time.Time{})[0]
			if j.Verdict != c.verdict || !strings.Contains(j.Why, c.why) || j.Cause != "reaped" || j.ID != "reaped:gone" {
				t.Errorf("%+v; want %s %q", j, c.verdict, c.why)
			}
			if f.decidable(j) {
				t.Error("the run would wait for what only the end of the clients decides")
			}
			if j := f.judgeReaped(time.Now())[0]; j.Verdict != Pending {
				t.Errorf("during the run: %s", j.Verdict)
			}
		})
	}
}

// TestSilentClientsAreTheFault: what clients do that fall silent is what the drill is about, not the background of it, and their
// report is taken into the record.
func TestSilentClientsAreTheFault(t *testing.T) {
	t.Parallel()
	quiet := Change{ID: "gone.1", Step: "gone", Do: Op{ID: "gone.1.do", Verb: "clients.half-open"}}
	if quiet.background() || !onlyLoad([]Change{quiet}) || onlyLoad([]Change{quiet, {Do: Op{Verb: "unit.kill"}}}) {
		t.Error("clients that fall silent are background, or take members away")
	}
	f := &folder{}
	f.load(Event{Change: &quiet, Effect: &Effect{Evidence: []byte(`{"wanted":5,"quiet":{"kind":"half-open sockets","silent":5,"held":5}}`)}})
	if len(f.rec.Load) != 1 || f.rec.Load[0].Step != "gone" || f.rec.Load[0].Quiet == nil || f.rec.Load[0].Quiet.Held != 5 {
		t.Errorf("%+v", f.rec.Load)
	}
}
