package drills

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// quietCause is the cause of silent clients that the target kept too long.
const quietCause = "reaped"

// judgeReaped judges how the target rid itself of the clients of a step that fell silent.
func (f *folder) judgeReaped(now time.Time) []Judged {
	var out []Judged
	for _, x := range f.drill.Expect.Reaped {
		j := Judged{ID: "reaped:" + x.Step, Title: "the target ends the connections of silent clients (step " + x.Step + ")", Target: x.target(), Cause: quietCause}
		if !now.IsZero() {
			j.Verdict, j.Actual = Pending, "not decided yet"
		} else {
			f.judgeQuiet(x, &j)
		}
		out = append(out, j)
	}
	return out
}

func (x ReapedExpect) target() string {
	var out []string
	if x.Within > 0 {
		out = append(out, "all within "+x.Within.String())
	}
	if x.MaxHeld != nil {
		out = append(out, fmt.Sprintf("at most %d still held at the lift", *x.MaxHeld))
	}
	return strings.Join(out, ", ")
}

func (f *folder) judgeQuiet(x ReapedExpect, j *Judged) {
	i := slices.IndexFunc(f.rec.Load, func(m LoadMeasured) bool { return m.Step == x.Step && m.Quiet != nil })
	if i < 0 {
		j.Verdict, j.Actual, j.Why = NotMeasured, "not measured", "the silent clients did not report"
		return
	}
	m := f.rec.Load[i]
	q := *m.Quiet
	j.Actual = q.String()
	if q.Ended > 0 {
		j.Span = &q.Last
	}
	allowed := 0
	if x.MaxHeld != nil {
		allowed = *x.MaxHeld
	}
	switch {
	case q.Held > allowed:
		j.Verdict, j.Why = NotMet, fmt.Sprintf("the target still held %d of %d %s when they were let go", q.Held, q.Silent, q.Kind)
	case q.Held+q.Unclear+q.Unproven > allowed:
		j.Verdict, j.Why = Unclear, fmt.Sprintf("of %d of the clients nobody knows whether the target still held them", q.Unclear+q.Unproven)
	case q.Silent < m.Wanted:
		j.Verdict, j.Why = Unclear, fmt.Sprintf("only %d of %d clients could connect and fall silent", q.Silent, m.Wanted)
	case x.Within > 0 && q.Ended > 0:
		if j.Verdict = JudgeMax(q.Last, x.Within); j.Verdict != Met {
			j.Why = fmt.Sprintf("the target ended the last of the %s only after %s", q.Kind, q.Last)
		}
	default:
		j.Verdict = Met
	}
}
