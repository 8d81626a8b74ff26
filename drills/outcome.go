package drills

// Outcome is what a run amounts to. These are the only words.
type Outcome string

// The outcomes. Dirty is a flag beside them; a dirty run never passes.
const (
	Pass         Outcome = "pass"
	Fail         Outcome = "fail"
	Inconclusive Outcome = "inconclusive"
	Aborted      Outcome = "aborted"
	BlockedRun   Outcome = "blocked"
	Invalid      Outcome = "invalid"
	Missed       Outcome = "missed"
)

// Purpose is why a run happens, fixed before T0.
type Purpose string

// The purposes.
const (
	Scheduled Purpose = "scheduled"
	AdHoc     Purpose = "ad-hoc"
	CI        Purpose = "ci"
	Retest    Purpose = "retest"
)

// Exit codes of the command line.
const (
	ExitPass     = 0
	ExitFail     = 1
	ExitInput    = 2
	ExitUnproven = 3
	ExitAborted  = 4
	ExitResidue  = 5
	ExitGate     = 6
	ExitInternal = 10
)

// Exit is the exit code of one run's record.
func Exit(o Outcome, dirty bool) int {
	if dirty {
		return ExitResidue
	}
	switch o {
	case Pass:
		return ExitPass
	case Fail:
		return ExitFail
	case Aborted:
		return ExitAborted
	default:
		return ExitUnproven
	}
}

// Worst is the exit code over several runs: the worst wins in the order 10, 5, 4, 1, 3, 0.
func Worst(codes ...int) int {
	for _, w := range []int{ExitInternal, ExitResidue, ExitAborted, ExitFail, ExitUnproven, ExitInput} {
		for _, c := range codes {
			if c == w {
				return w
			}
		}
	}
	return ExitPass
}

// Verdict is the state of one judged thing.
type Verdict string

// Met and NotMet are proven by the interval's bounds; Unclear straddles the target; NotMeasured has no data;
// Pending is not decided yet (only during a run).
const (
	Met         Verdict = "met"
	NotMet      Verdict = "not met"
	Unclear     Verdict = "inconclusive"
	NotMeasured Verdict = "not measured"
	Pending     Verdict = "pending"
)

// JudgeMax compares a span with a strict upper target: met only if the upper bound is below it,
// not met only if the lower bound is at or above it (EVIDENCE 6.1).
func JudgeMax(s Span, target Duration) Verdict {
	switch {
	case s.Hi < target:
		return Met
	case s.Lo >= target:
		return NotMet
	}
	return Unclear
}
