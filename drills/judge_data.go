package drills

import (
	"fmt"
	"slices"
	"time"
)

// RPA is the recovery point of one canary (EVIDENCE 6.2; DESIGN section 2): max(T0, acknowledgement of the newest lost
// write) - acknowledgement of the newest write whose predecessors all survive, as an interval. Nothing lost: [0, period).
func RPA(c CanaryMeasured, t0 Interval) Span {
	if c.Lost == 0 {
		return Span{Hi: c.Every}
	}
	upper := Interval{From: laterOf(t0.From, c.NewestLost.From), To: laterOf(t0.To, c.NewestLost.To)}
	return upper.Since(c.Point)
}

// judgingCanaries are the canaries of the drill's component, all that were measured.
func (f *folder) judgingCanaries() []CanaryMeasured {
	if f.rec.Opened.System == nil {
		return f.rec.Canaries
	}
	names := f.rec.Opened.System.Components[f.drill.Component].Canaries
	var out []CanaryMeasured
	for _, c := range f.rec.Canaries {
		if slices.Contains(names, c.Name) {
			out = append(out, c)
		}
	}
	return out
}

// judgeRPA judges the recovery point objective on every canary that judges it; the worst decides.
func (f *folder) judgeRPA(target Duration, now time.Time) []Judged {
	if f.rec.Opened.System == nil || len(f.rec.Opened.System.Components[f.drill.Component].Canaries) == 0 {
		return nil
	}
	j := Judged{ID: "rpo", Title: "recovery point objective (RPO)", Target: "< " + target.String(), Cause: "rpa", Source: f.targetSource("rpo"), Verdict: NotMeasured, Actual: "not measured"}
	if !now.IsZero() {
		j.Verdict = Pending
		return []Judged{j}
	}
	for _, c := range f.judgingCanaries() {
		if c.Error != "" {
			j.Verdict, j.Actual, j.Why = NotMeasured, "not measured", "canary "+c.Name+": "+c.Error
			return []Judged{j}
		}
		s := RPA(c, f.rec.Times.T0.Interval)
		if j.Span == nil || s.Hi > j.Span.Hi {
			j.Span, j.Verdict, j.Evidence = &s, JudgeMax(s, target), "canary "+c.Name
			j.Actual = fmt.Sprintf("%s, %d of %d acknowledged writes lost", s, c.Lost, c.Acked)
		}
		if c.Corrupt+c.Phantom+c.Resurrected > 0 {
			j.Span, j.Verdict, j.Why = &s, NotMet, fmt.Sprintf("canary %s read back %d corrupt, %d phantom and %d resurrected writes", c.Name, c.Corrupt, c.Phantom, c.Resurrected)
			return []Judged{j}
		}
	}
	if j.Verdict == NotMet {
		j.Why = fmt.Sprintf("More than %s of acknowledged writes were lost", target)
	}
	return []Judged{j}
}

func (f *folder) judgeLoss(now time.Time) []Judged {
	var out []Judged
	for _, x := range f.drill.Expect.Loss {
		out = append(out, f.judgeOneLoss(x, now))
		if x.MaxDuplicated != nil {
			out = append(out, f.judgeDuplicated(x.Canary, *x.MaxDuplicated, now))
		}
	}
	return out
}

// judgeDuplicated bounds the writes that were carried out more than once.
func (f *folder) judgeDuplicated(canary string, most int, now time.Time) Judged {
	j := Judged{
		ID: "duplicated:" + canary, Title: "writes of " + canary + " happen once", Cause: "duplicated-writes",
		Target: fmt.Sprintf("at most %d twice", most), Verdict: NotMeasured, Actual: "not measured",
	}
	if !now.IsZero() {
		j.Verdict = Pending
		return j
	}
	i := slices.IndexFunc(f.rec.Canaries, func(c CanaryMeasured) bool { return c.Name == canary })
	if i < 0 || f.rec.Canaries[i].Error != "" {
		j.Why = "the canary was not measured"
		return j
	}
	c := f.rec.Canaries[i]
	j.Verdict, j.Actual = Met, fmt.Sprintf("%d of %d are there twice", c.Duplicated, c.Acked)
	if c.Duplicated > most {
		j.Verdict, j.Why = NotMet, fmt.Sprintf("%d acknowledged writes of %s happened more than once", c.Duplicated, canary)
	}
	return j
}

func (f *folder) judgeOneLoss(x Loss, now time.Time) Judged {
	j := Judged{ID: "loss:" + x.Canary, Title: "acknowledged writes of " + x.Canary + " survive", Cause: "lost-writes", Verdict: NotMeasured, Actual: "not measured"}
	if x.MaxWrites != nil {
		j.Target = fmt.Sprintf("at most %d lost", *x.MaxWrites)
	}
	if !now.IsZero() {
		j.Verdict = Pending
		return j
	}
	i := slices.IndexFunc(f.rec.Canaries, func(c CanaryMeasured) bool { return c.Name == x.Canary })
	if i < 0 || f.rec.Canaries[i].Error != "" {
		j.Why = "the canary was not measured"
		return j
	}
	c := f.rec.Canaries[i]
	s := RPA(c, f.rec.Times.T0.Interval)
	j.Verdict, j.Actual = Met, fmt.Sprintf("%d of %d lost, %d before the fault", c.Lost, c.Acked, c.LostBeforeT0)
	if (x.MaxWrites != nil && c.Lost > *x.MaxWrites) || (x.MaxAge > 0 && JudgeMax(s, x.MaxAge) == NotMet) {
		j.Verdict, j.Why = NotMet, fmt.Sprintf("%d acknowledged writes were lost", c.Lost)
	}
	return j
}

func ratio(a, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(a) / float64(of)
}

func ms(d Duration) string { return d.D().Round(100 * time.Microsecond).String() }
