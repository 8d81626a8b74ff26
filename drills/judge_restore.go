package drills

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// judgeRestore judges a restore step: that something came of it in time, that what was restored is right, and how far back
// it lies.
func (f *folder) judgeRestore(now time.Time) []Judged {
	x := f.drill.Expect.Restore
	if x == nil {
		return nil
	}
	i := slices.IndexFunc(f.rec.Restores, func(m RestoreMeasured) bool { return m.Step == x.Step })
	var m *RestoreMeasured
	if i >= 0 {
		m = &f.rec.Restores[i]
	}
	out := []Judged{x.judgeTime(m), x.judgeChecks(m)}
	if x.Instant > 0 {
		out = append(out, x.judgeInstant(m))
	}
	if x.RecoveryPoint > 0 {
		out = append(out, x.judgePoint(m, f.rec.Times.T0))
	}
	for i := range out {
		out[i].Source = "drill " + f.drill.Name
		switch {
		case m == nil && !now.IsZero():
			out[i].Verdict, out[i].Actual = Pending, "not decided yet"
		case m == nil:
			out[i].Verdict, out[i].Actual, out[i].Why = NotMeasured, "not measured", "the restore did not end"
		case m.Error != "":
			out[i].Verdict, out[i].Actual, out[i].Why = NotMeasured, "not measured", m.Error
		}
	}
	return out
}

func (x *RestoreExpect) judgeTime(m *RestoreMeasured) Judged {
	j := Judged{ID: "restore:" + x.Step, Title: "the backup is restored into an empty instance and verified", Target: "< " + x.Within.String(), Cause: "restore"}
	if m == nil {
		return j
	}
	if m.Cause != "" {
		j.Verdict, j.Cause, j.Why = NotMet, m.Cause, m.Why
		j.Actual = "not restored, given up after " + m.Took().D().Round(time.Millisecond).String()
		return j
	}
	s := Span{Lo: m.Took(), Hi: m.Took()} // both ends are our own stamps of one clock
	j.Span, j.Actual, j.Verdict = &s, s.String(), JudgeMax(s, x.Within)
	j.Evidence = m.phasesText()
	if j.Verdict == NotMet {
		j.Cause, j.Why = "restore-late", fmt.Sprintf("Restoring and verifying the backup took longer than %s", x.Within)
	}
	return j
}

func (m RestoreMeasured) phasesText() string {
	var out []string
	for _, p := range m.Phases {
		out = append(out, fmt.Sprintf("%s %.2f s", p.Name, p.To.Sub(p.From).Seconds()))
	}
	return strings.Join(out, ", ")
}

func (x *RestoreExpect) judgeChecks(m *RestoreMeasured) Judged {
	j := Judged{ID: "restore-checks:" + x.Step, Title: "the restored data are those that were backed up", Target: "every check holds", Cause: "restore-checks"}
	if m == nil {
		return j
	}
	bad := slices.DeleteFunc(slices.Clone(m.Checks), func(c RestoredCheck) bool { return c.OK })
	j.Actual = fmt.Sprintf("%d of %d checks hold", len(m.Checks)-len(bad), len(m.Checks))
	switch {
	case len(bad) > 0:
		j.Verdict, j.Why = NotMet, "The restored instance is not the one that was backed up: "+bad[0].sentence()
		j.Cause = "restore-check:" + slug(bad[0].Name)
	case !m.Done():
		j.Verdict, j.Actual, j.Why = NotMeasured, "not asked", "there was nothing restored to ask"
	case len(m.Checks) == 0:
		j.Verdict, j.Why = NotMeasured, "the drill has no checks, and a restore that nobody looked at proves nothing"
	default:
		j.Verdict = Met
	}
	return j
}

func (c RestoredCheck) sentence() string {
	if c.Why != "" {
		return c.Name + ": " + c.Why
	}
	whose := "wanted was"
	if c.Live {
		whose = "the live system"
	}
	return fmt.Sprintf("%s: it answers %q, %s %q", c.Name, brief(c.Got), whose, brief(c.Want))
}

func brief(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

func slug(s string) string {
	return strings.Trim(unfit.ReplaceAllString(strings.ToLower(s), "-"), "-")
}

// judgePoint: the restored state lies in m.Point, what was written between it and T0 is lost. A restore that reads on while
// the live system writes may end after T0: nothing written before it is lost then.
func (x *RestoreExpect) judgePoint(m *RestoreMeasured, t0 *Stamp) Judged {
	j := Judged{ID: "restore-point:" + x.Step, Title: "the recovery point of the backup is close enough to the loss", Target: "< " + x.RecoveryPoint.String(), Cause: "restore-point"}
	if m == nil {
		return j
	}
	if m.Point == nil || t0 == nil {
		j.Verdict, j.Actual, j.Why = NotMeasured, "not measured", "nothing restored says how far it reaches"
		return j
	}
	s := t0.Since(*m.Point)
	j.Span, j.Actual, j.Verdict, j.Evidence = &s, s.String(), JudgeMax(s, x.RecoveryPoint), m.Source
	if j.Verdict == NotMet {
		j.Why = fmt.Sprintf("The restored instance ends %s before T0: what was written since is lost", s)
	}
	return j
}

// judgeInstant: a state after the chosen instant is as wrong as one before it.
func (x *RestoreExpect) judgeInstant(m *RestoreMeasured) Judged {
	j := Judged{ID: "restore-instant:" + x.Step, Title: "the instance is restored to the chosen instant", Target: "within " + x.Instant.String(), Cause: "restore-instant"}
	if m == nil {
		return j
	}
	if m.Point == nil || m.Until == nil {
		j.Verdict, j.Actual, j.Why = NotMeasured, "not measured", "nothing restored says how far it reaches"
		return j
	}
	before, after := At(*m.Until).Since(*m.Point), m.Point.Since(At(*m.Until))
	s, what := before, "before"
	if after.Lo > 0 {
		s, what = after, "after"
	}
	j.Span, j.Actual, j.Verdict, j.Evidence = &s, s.String()+" "+what+" it", JudgeMax(s, x.Instant), m.Source
	if j.Verdict == NotMet {
		j.Why = fmt.Sprintf("The restored instance is at a state %s %s the instant that was chosen", s, what)
	}
	if what == "after" {
		j.Verdict, j.Why = NotMet, fmt.Sprintf("The restored instance holds what was written %s after the instant that was chosen", s)
	}
	return j
}
