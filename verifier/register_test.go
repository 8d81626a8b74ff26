package verifier

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/eevans-d/simulacro/drills"
)

// seqOfOp is the next number, from a given one on, of an operation of that sort on register 0.
func seqOfOp(from int64, write bool) int64 {
	for {
		if o := operation(from, 1, 1); o.write == write {
			return from
		}
		from++
	}
}

// tape makes the history of one register: "w" acknowledged write, "?" write without an answer, "x" refused write, and reads of
// the n-th write of the story ("0" to "9"; "-": never written). One operation every 10 ms, each lasting 2 ms.
func tape(story string) *Ledger {
	l := &Ledger{
		Meta: CanaryMeta{Schema: CanarySchema, Name: "reg", Kind: "redis-register", Registers: 1, Clients: 1, Mono: testClock.Mono, Wall: testClock.Wall},
		Back: &holdings{Members: []Holding{{Member: "one", Address: "1:1"}}},
	}
	var written []int64
	next := int64(0)
	for i, c := range story {
		at := testClock.Mono + int64(i)*int64(10*time.Millisecond)
		w := Sample{Send: at, Done: at + int64(2*time.Millisecond), Class: Good, Text: "1:1"}
		w.Seq = seqOfOp(next, strings.ContainsRune("w?x", c))
		next = w.Seq + 1
		switch c {
		case 'w', '?', 'x':
			written = append(written, w.Seq+1)
			w.Class = map[rune]Class{'w': Good, '?': Timeout, 'x': Failed}[c]
		case '-':
			w.Position = noValue
		default:
			w.Position = itoa(written[c-'0'])
		}
		if w.Class != Good {
			w.Text = "no"
		}
		l.Writes = append(l.Writes, w)
	}
	return l
}

// TestRegisterVerdicts: hand-made histories with and without an order that explains them.
func TestRegisterVerdicts(t *testing.T) {
	t.Parallel()
	for story, want := range map[string]drills.Linearizability{
		"-w0w1":   drills.Linearizable,
		"w0w-":    drills.NotExplicable, // gone altogether
		"w0w10":   drills.NotExplicable, // the old value comes back
		"w0?00":   drills.Linearizable,  // a write without an answer that never came about
		"w0?01w2": drills.Linearizable,  // one that came about later
		"w0?0100": drills.NotExplicable, // that one, and then the one before it again
		"w0x1":    drills.NotExplicable, // a refused write has no effect
		"w0x0":    drills.Linearizable,
	} {
		l := tape(story)
		var page bytes.Buffer
		m := l.settleRegister(time.Minute, &page)
		if m.Verdict != want || m.Error != "" || (len(m.Unexplained) > 0) != (want == drills.NotExplicable) {
			t.Errorf("%s: %s %q, want %s %s", story, m.Verdict, m.Unexplained, want, m.Error)
		}
		if !strings.Contains(page.String(), "<html") {
			t.Errorf("%s: no picture in %d bytes", story, page.Len())
		}
	}
	m := tape("w0w10").settleRegister(time.Minute, nil)
	first, second := seqOfOp(0, true)+1, int64(0)
	second = tape("w0w").Writes[2].Seq + 1
	for _, says := range []string{"Register 0 read by client 0", "by one was " + itoa(first), "though " + itoa(second) + " had been acknowledged at 03:04:05.022 by one"} {
		if len(m.Unexplained) != 1 || !strings.Contains(m.Unexplained[0], says) {
			t.Errorf("%q does not say %q", m.Unexplained, says)
		}
	}
	if m := tape("??").settleRegister(time.Minute, nil); m.Error == "" || m.Verdict == drills.Linearizable {
		t.Errorf("nothing was answered: %+v", m)
	}
	strange := tape("w0")
	strange.Writes[1].Position = "somebody else's"
	if m := strange.settleRegister(time.Minute, nil); m.Error == "" {
		t.Errorf("a value of nobody's: %+v", m)
	}
}

// A history whose operations take effect at one instant within their flight is always explained, whichever of the writes
// without an answer came about; one read that goes back to a value before a write that had ended is not.
func TestRegisterProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		l, stale := drawHistory(rt)
		if m := l.settleRegister(time.Minute, nil); m.Error == "" && m.Verdict != drills.Linearizable {
			rt.Fatalf("%s: %v", m.Verdict, m.Unexplained)
		}
		if stale == nil {
			return
		}
		l.Writes = append(l.Writes, *stale)
		if m := l.settleRegister(time.Minute, nil); m.Verdict != drills.NotExplicable || len(m.Illegal) != 1 {
			rt.Fatalf("with %+v: %+v", *stale, m)
		}
	})
}

// drawHistory lets operations take effect one after the other at instants of their flights, and makes a read at the end that
// is answered with an old value.
func drawHistory(rt *rapid.T) (*Ledger, *Sample) {
	l := tape("")
	l.Meta.Clients, l.Meta.Registers = 3, 2
	state := map[int]int64{}
	var past [2][]int64
	n := rapid.IntRange(1, 60).Draw(rt, "operations")
	at := testClock.Mono
	for seq := range int64(n) {
		at += rapid.Int64Range(1, 10).Draw(rt, "pause") // effects follow each other; flights overlap
		o := operation(seq, 3, 2)
		s := Sample{Seq: seq, Send: at - rapid.Int64Range(0, 40).Draw(rt, "before"), Done: at + rapid.Int64Range(0, 40).Draw(rt, "after"), Class: Good, Text: "1:1"}
		if !o.write {
			s.Position = noValue
			if v, ok := state[o.register]; ok {
				s.Position = itoa(v)
			}
		} else if fate := rapid.IntRange(0, 9).Draw(rt, "fate"); fate == 0 {
			s.Class = Timeout // never came about
		} else {
			if fate == 1 {
				s.Class = Timeout // came about
			}
			state[o.register] = o.value()
			if s.Class == Good {
				past[o.register] = append(past[o.register], o.value())
			}
		}
		l.Writes = append(l.Writes, s)
	}
	for seq := int64(n); ; seq++ {
		o := operation(seq, 3, 2)
		if o.write {
			continue
		}
		if p := past[o.register]; len(p) >= 2 && slices.Contains(p[1:], state[o.register]) && settled(l, p[0], p[1]) {
			return l, &Sample{Seq: seq, Send: at + 1000, Done: at + 1001, Class: Good, Text: "1:1", Position: itoa(p[0])}
		}
		return l, nil
	}
}

// settled tells whether the first of two writes had ended before the second was sent: then the first cannot be the last one.
func settled(l *Ledger, first, second int64) bool {
	return l.Writes[first-1].Done < l.Writes[second-1].Send
}

// TestRegisterCanary: the agent against a store. Without a fault the history is linearizable; when the store forgets a newer
// value, as an asynchronous failover does, it is not, and the raw file says the same again.
func TestRegisterCanary(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]bool{"sound": false, "forgets": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, files := newRedisTrio(t), newMemSamples()
			c, _ := r.canary(t, "mixed", files)
			c.cfg.Spec.Kind, c.cfg.Spec.Registers, c.cfg.Spec.Clients, c.cfg.Spec.Every = "redis-register", 2, 3, ms(3)
			if err := c.Start(t.Context(), func(drills.Event) {}); err != nil {
				t.Fatal(err)
			}
			busy := func(n int) func() bool { return func() bool { return r.one.count("SET")+r.one.count("GET") > n } }
			eventually(t, "some operations", busy(60))
			if forget {
				old := map[string]string{}
				r.one.set(func() {
					for k, v := range r.one.data {
						old[k] = v
					}
				})
				for n := range 8 { // a write that comes first hides it: once in four for each register
					eventually(t, "newer values", busy(120+20*n))
					r.one.set(func() {
						for k, v := range old {
							r.one.data[k] = v
						}
					})
				}
				eventually(t, "reads after it", busy(320))
			}
			if err := c.ReadBack(t.Context(), drills.Timing{}); err != nil {
				t.Fatal(err)
			}
			ev, err := c.Finish(t.Context(), drills.Timing{})
			if err != nil || len(ev) != 1 || ev[0].Register == nil {
				t.Fatalf("%v %+v", err, ev)
			}
			m := *ev[0].Register
			want := map[bool]drills.Linearizability{false: drills.Linearizable, true: drills.NotExplicable}[forget]
			if m.Verdict != want || m.Error != "" || !m.Purged || m.Reads < 20 || m.Writes < 20 || len(r.one.keys()) != 0 {
				t.Errorf("%+v, left %v", m, r.one.keys())
			}
			if page := files.bytes(m.Picture); len(page) == 0 || m.PictureSHA256 == "" {
				t.Errorf("picture %q of %d bytes", m.Picture, len(page))
			}
			again, err := MeasureRegister(bytes.NewReader(files.bytes(m.Raw)))
			if err != nil || again.Verdict != m.Verdict || again.SHA256 != m.SHA256 || !slices.Equal(again.Unexplained, m.Unexplained) {
				t.Errorf("checked again: %v %+v", err, again)
			}
		})
	}
}
