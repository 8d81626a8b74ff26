package drills

import (
	"strings"
	"testing"
	"time"
)

// restoredAt is a restore that was asked for at the fault, and whose data end so long before it.
func restoredAt(t0 time.Time, before time.Duration, change func(*RestoreMeasured)) RestoreMeasured {
	p := Interval{From: t0.Add(-before), To: t0.Add(-before + 20*time.Millisecond)}
	m := RestoreMeasured{
		Step: "restore", Asked: t0, Ended: t0.Add(20 * time.Second), Point: &p,
		Checks: []RestoredCheck{{Name: "rows", Want: "3", Got: "3", Live: true, OK: true}},
	}
	if change != nil {
		change(&m)
	}
	return m
}

func TestRestoresAreJudged(t *testing.T) {
	t0 := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { at := t0.Add(-d); return &at }
	x := RestoreExpect{Step: "restore", Within: Duration(time.Minute), RecoveryPoint: Duration(time.Minute)}
	for name, c := range map[string]struct {
		m       *RestoreMeasured
		instant Duration
		want    map[string]Verdict
		why     string // of the first that is not met
	}{
		"sound":                {m: new(restoredAt(t0, time.Second, nil)), want: map[string]Verdict{"restore": Met, "restore-checks": Met, "restore-point": Met}},
		"ends after T0":        {m: new(restoredAt(t0, -5*time.Second, nil)), want: map[string]Verdict{"restore": Met, "restore-checks": Met, "restore-point": Met}},
		"ends far too soon":    {m: new(restoredAt(t0, 2*time.Minute, nil)), want: map[string]Verdict{"restore": Met, "restore-checks": Met, "restore-point": NotMet}, why: "ends 119.98"},
		"straddles the target": {m: new(restoredAt(t0, time.Minute+10*time.Millisecond, nil)), want: map[string]Verdict{"restore": Met, "restore-checks": Met, "restore-point": Unclear}},
		"too slow":             {m: new(restoredAt(t0, 0, func(m *RestoreMeasured) { m.Ended = t0.Add(time.Minute) })), want: map[string]Verdict{"restore": NotMet, "restore-checks": Met, "restore-point": Met}, why: "took longer than 1m0s"},
		"a check differs": {
			m: new(restoredAt(t0, 0, func(m *RestoreMeasured) {
				m.Checks = append(m.Checks, RestoredCheck{Name: "GIST index", Want: "ix", Got: "none", Live: true})
			})),
			want: map[string]Verdict{"restore": Met, "restore-checks": NotMet, "restore-point": Met}, why: `GIST index: it answers "none", the live system "ix"`,
		},
		"nobody looked": {m: new(restoredAt(t0, 0, func(m *RestoreMeasured) { m.Checks = nil })), want: map[string]Verdict{"restore": Met, "restore-checks": NotMeasured, "restore-point": Met}},
		"empty backup": {
			m: new(restoredAt(t0, 0, func(m *RestoreMeasured) {
				m.Cause, m.Why, m.Point, m.Checks = "backup-empty", "The backup cannot be restored: it is empty", nil, nil
			})),
			want: map[string]Verdict{"restore": NotMet, "restore-checks": NotMeasured, "restore-point": NotMeasured}, why: "it is empty",
		},
		"our own failure":    {m: new(restoredAt(t0, 0, func(m *RestoreMeasured) { m.Error = "the instance ended" })), want: map[string]Verdict{"restore": NotMeasured, "restore-checks": NotMeasured, "restore-point": NotMeasured}},
		"never ended":        {want: map[string]Verdict{"restore": NotMeasured, "restore-checks": NotMeasured, "restore-point": NotMeasured}},
		"at the instant":     {m: new(restoredAt(t0, 30*time.Second, func(m *RestoreMeasured) { m.Until = ago(29990 * time.Millisecond) })), instant: Duration(time.Second), want: map[string]Verdict{"restore-instant": Met}},
		"before the instant": {m: new(restoredAt(t0, 40*time.Second, func(m *RestoreMeasured) { m.Until = ago(30 * time.Second) })), instant: Duration(time.Second), want: map[string]Verdict{"restore-instant": NotMet}, why: "before the instant"},
		"after the instant":  {m: new(restoredAt(t0, 29*time.Second, func(m *RestoreMeasured) { m.Until = ago(30 * time.Second) })), instant: Duration(time.Minute), want: map[string]Verdict{"restore-instant": NotMet}, why: "after the instant"},
	} {
		t.Run(name, func(t *testing.T) {
			x := x
			x.Instant = c.instant
			f := &folder{drill: &Drill{Name: "d", Expect: Expect{Restore: &x}}}
			f.rec.Times.T0 = &Stamp{Interval: At(t0)}
			if c.m != nil {
				f.rec.Restores = []RestoreMeasured{*c.m}
			}
			first := ""
			got := map[string]Verdict{}
			for _, j := range f.judgeRestore(time.Time{}) {
				id := strings.TrimSuffix(j.ID, ":restore")
				got[id] = j.Verdict
				if first == "" && j.Verdict == NotMet {
					first = j.Why
				}
			}
			for id, v := range c.want {
				if got[id] != v {
					t.Errorf("%s is %s, want %s", id, got[id], v)
				}
			}
			if !strings.Contains(first, c.why) || (c.why == "") != (first == "") {
				t.Errorf("why %q, want %q", first, c.why)
			}
			if c.m == nil {
				for _, j := range f.judgeRestore(t0) {
					if j.Verdict != Pending {
						t.Errorf("%s is %s in a live run, want pending", j.ID, j.Verdict)
					}
				}
			}
		})
	}
}

func TestRunbooksAreJudged(t *testing.T) {
	t0 := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	person := RunbookItem{Text: "Declare", Within: Duration(time.Minute), Shown: t0, Done: t0.Add(5 * time.Second), Who: "ana"}
	command := RunbookItem{Text: "Rebuild", Command: []string{"x"}, Shown: t0.Add(5 * time.Second), Done: t0.Add(9 * time.Second)}
	failed := RunbookItem{Text: "Rebuild", Command: []string{"x"}, Shown: t0.Add(5 * time.Second), Failed: "x ended with code 1"}
	for name, c := range map[string]struct {
		m    *RunbookMeasured
		want Verdict
		why  string
		t3   time.Time
	}{
		"all done":      {&RunbookMeasured{Items: []RunbookItem{person, command}, Over: true}, Met, "", t0.Add(5 * time.Second)},
		"command first": {&RunbookMeasured{Items: []RunbookItem{command}, Over: true}, Met, "", t0.Add(5 * time.Second)},
		"failed":        {&RunbookMeasured{Items: []RunbookItem{person, failed}, Over: true}, NotMet, `Step 2 of the runbook, "Rebuild", failed: x ended with code 1`, t0.Add(5 * time.Second)},
		"cut off":       {&RunbookMeasured{Items: []RunbookItem{{Text: "Declare", Shown: t0}}, Over: true, Error: "the run ended it"}, NotMeasured, "the run ended it", time.Time{}},
		"not begun":     {nil, NotMeasured, "", time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &folder{drill: &Drill{}}
			f.rec.Faults = []FaultRecord{{Change: Change{Step: "rebuild", Do: Op{Verb: "runbook.begin"}}, Effect: &Effect{}}}
			if c.m != nil {
				c.m.Step = "rebuild"
				f.runbook(RunbookMeasured{Step: "rebuild"})
				f.runbook(*c.m) // the newest counts
			}
			got := f.judgeRunbooks(time.Time{})
			if len(got) != 1 || got[0].Verdict != c.want || got[0].Why != c.why {
				t.Errorf("%+v, want %s %q", got, c.want, c.why)
			}
			t3 := f.firstAct()
			if (t3 == nil) != c.t3.IsZero() || t3 != nil && !t3.From.Equal(c.t3) {
				t.Errorf("T3 is %v, want %v", t3, c.t3)
			}
		})
	}
}
