package reports

import (
	"fmt"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// exclusionLimit is the share of excluded runs above which a rate says little.
const exclusionLimit = 0.10

// Rate is a success rate with everything that it was counted from. Shares are 0..1; those of nothing are nil.
type Rate struct {
	Name         string   `json:"name"`
	Passed       int      `json:"passed"`
	Failed       int      `json:"failed"`
	Inconclusive int      `json:"inconclusive"`
	Aborted      int      `json:"aborted"` // after injection
	Excluded     int      `json:"excluded"`
	Due          int      `json:"due"` // slots; zero where the purpose is not scheduled
	Strict       *float64 `json:"strict,omitempty"`
	Lower        float64  `json:"lower_95_one_sided"`
	WilsonLow    float64  `json:"wilson_95_low"`
	WilsonHigh   float64  `json:"wilson_95_high"`
	Intention    *float64 `json:"intention_to_drill,omitempty"`
	Exclusion    float64  `json:"exclusion_share"`
	Strata       int      `json:"strata"`
	Verdict      string   `json:"verdict"`
	Needs        string   `json:"needs,omitempty"`
	Warnings     []string `json:"warnings,omitempty"`
	RTA          Spread   `json:"rta"`
	RPA          Spread   `json:"rpa"`
	NoRTA        int      `json:"rta_not_measured"` // runs that were judged on it and gave no length: never recovered, or not measured
	NoRPA        int      `json:"rpa_not_measured"`
	LastPass     string   `json:"last_pass,omitempty"` // date
}

// N is the strict rate's denominator: every run that was injected and measured, whatever came of it.
func (r Rate) N() int { return r.Passed + r.Failed + r.Inconclusive + r.Aborted }

// The words of a verdict on a rate.
const (
	Demonstrated = "demonstrated"
	Consistent   = "consistent with target"
	TargetMissed = "not met"
	NoEvidence   = "nothing to judge"
	OutsideRate  = "outside the rate"
)

func rate(name string, purpose drills.Purpose, ls []RunLine, target float64) Rate {
	r := Rate{Name: name, Strata: len(distinct(ls, func(l RunLine) Stratum { return l.Stratum }))}
	for _, l := range ls {
		r.count(l)
	}
	if purpose == drills.Scheduled {
		r.Due = len(ls)
		r.Intention = share(r.Passed, r.Due)
	}
	k, n := r.Passed, r.N()
	r.Strict, r.Lower = share(k, n), lowerBound(k, n)
	r.WilsonLow, r.WilsonHigh = wilson(k, n)
	if s := share(r.Excluded, len(ls)); s != nil {
		r.Exclusion = *s
	}
	r.RTA, r.NoRTA = lengths(ls, func(l RunLine) (*drills.Judged, drills.Duration) { return l.RTA, l.rto })
	r.RPA, r.NoRPA = lengths(ls, func(l RunLine) (*drills.Judged, drills.Duration) { return l.RPA, l.rpo })
	r.judge(purpose, target)
	return r
}

func (r *Rate) count(l RunLine) {
	switch {
	case l.Counted == "excluded":
		r.Excluded++
	case l.Outcome == drills.Pass && !l.Dirty:
		r.Passed++
		r.LastPass = max(r.LastPass, l.At.UTC().Format(time.DateOnly))
	case l.Outcome == drills.Fail:
		r.Failed++
	case l.Outcome == drills.Aborted:
		r.Aborted++
	default:
		r.Inconclusive++
	}
}

func share(k, n int) *float64 {
	if n == 0 {
		return nil
	}
	s := float64(k) / float64(n)
	return &s
}

func (r *Rate) judge(purpose drills.Purpose, target float64) {
	switch {
	case purpose == drills.Retest:
		r.Verdict = OutsideRate
		return
	case r.Strict == nil:
		r.Verdict = NoEvidence
	case *r.Strict < target:
		r.Verdict = TargetMissed
	case r.Lower >= target && r.Strata == 1:
		r.Verdict = Demonstrated
	default:
		r.Verdict = Consistent
	}
	if r.Strata > 1 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("pooled over %d strata, for orientation: no bound holds for the whole", r.Strata))
	}
	if r.Exclusion > exclusionLimit {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%s of the runs are excluded, more than %s", rateText(r.Exclusion), percent(exclusionLimit)))
	}
	if r.Verdict == Consistent || r.Verdict == NoEvidence {
		failures := r.N() - r.Passed
		r.Needs = fmt.Sprintf("%d drills with %d not passed would show at least %s; there are %d", smallest(failures, target), failures, percent(target), r.N())
		if more := smallest(failures, target) - r.N(); more > 12 {
			r.Needs += fmt.Sprintf(" (at one a month, %.1f more years)", float64(more)/12)
		}
	}
}

// lengths collects a measured length over the runs that were counted, by its upper bound.
func lengths(ls []RunLine, of func(RunLine) (*drills.Judged, drills.Duration)) (Spread, int) {
	var values []drills.Duration
	none, over := 0, 0
	var least drills.Duration
	for _, l := range ls {
		j, target := of(l)
		if j == nil || l.Counted == "excluded" {
			continue
		}
		if target > 0 && (least == 0 || target < least) {
			least = target
		}
		if j.Span == nil {
			none++
			continue
		}
		values = append(values, j.Span.Hi)
		if target > 0 && j.Span.Hi >= target {
			over++
		}
	}
	s := spread(slices.Clone(values))
	s.Target, s.Over = least, over
	return s, none
}
