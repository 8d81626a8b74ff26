package reports

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// junitCases are the test cases of one run: the run as a whole, its preconditions, detection, the objectives and every
// other expectation, the data's integrity and what was left behind.
func junitCases(r drills.Record) []junitCase {
	out := []junitCase{wholeRun(r), preconditions(r), detection(r)}
	out = append(out, objective(r, "RTO", "rto"), objective(r, "RPO", "rpo"), integrity(r))
	for _, j := range r.Expectations {
		if j.ID != "rto" && j.ID != "rpo" {
			out = append(out, expectation(r, j.Title, j))
		}
	}
	return append(out, residue(r))
}

func wholeRun(r drills.Record) junitCase {
	c := junitCase{Name: "run", Time: seconds(r.Ended.Sub(r.Started))}
	text := fmt.Sprintf("%s: %s", r.Outcome, r.Sentence)
	switch r.Outcome {
	case drills.Pass:
	case drills.Invalid:
		c.Error = problem("Invalid", text)
	case drills.BlockedRun, drills.Missed:
		c.Skipped = &junitSkipped{Message: printable(text)}
	case drills.Fail:
		c.Failure = problem("Failed", text)
	case drills.Aborted:
		c.Failure = problem("Aborted", text)
	default:
		c.Failure = problem("Inconclusive", text)
	}
	return c
}

func preconditions(r drills.Record) junitCase {
	c := junitCase{Name: "preconditions", Time: seconds(0)}
	var why []string
	for _, x := range failedChecks(r) {
		why = append(why, fmt.Sprintf("%s: expected %s, found %s", x.Name, x.Expected, x.Actual))
	}
	if text := strings.Join(why, "; "); text != "" || len(r.Checks) == 0 {
		c.Skipped = &junitSkipped{Message: printable(cmp.Or(text, "not checked"))}
	}
	return c
}

func detection(r drills.Record) junitCase {
	c := junitCase{Name: "detection", Time: seconds(0)}
	switch j := r.Detection; {
	case j == nil || j.Verdict == drills.NotMeasured || !concluded(r):
		c.Skipped = &junitSkipped{Message: "not measured"}
	default:
		return judgedCase(r, c.Name, *j)
	}
	return c
}

// concluded tells whether the run says anything about the system.
func concluded(r drills.Record) bool {
	return r.Outcome != drills.Invalid && r.Outcome != drills.BlockedRun && r.Outcome != drills.Missed
}

func objective(r drills.Record, name, id string) junitCase {
	for _, j := range r.Expectations {
		if j.ID == id {
			return expectation(r, name, j)
		}
	}
	return junitCase{Name: name, Time: seconds(0), Skipped: &junitSkipped{Message: "no such objective was judged in this run"}}
}

func expectation(r drills.Record, name string, j drills.Judged) junitCase {
	if !concluded(r) {
		return junitCase{Name: printable(name), Time: seconds(0), Skipped: &junitSkipped{Message: "nothing can be concluded from this run: " + string(r.Outcome)}}
	}
	return judgedCase(r, name, j)
}

func judgedCase(r drills.Record, name string, j drills.Judged) junitCase {
	c := junitCase{Name: printable(name), Time: seconds(0)}
	if j.Span != nil {
		c.Time = seconds(j.Span.Hi.D())
	}
	text := fmt.Sprintf("%s: %s, target %s", j.Verdict, cmp.Or(j.Actual, "not measured"), cmp.Or(j.Target, "none"))
	if j.Why != "" {
		text += ": " + j.Why
	}
	switch {
	case j.Verdict == drills.Met:
	case j.Verdict == drills.NotMet:
		c.Failure = problem(failureType(j), text)
	case j.Verdict == drills.Unclear:
		c.Failure = problem("Inconclusive", text)
	case r.Outcome == drills.Inconclusive: // not measured, and that is why
		c.Failure = problem("NotMeasured", text)
	default:
		c.Skipped = &junitSkipped{Message: printable(text)}
	}
	return c
}

func failureType(j drills.Judged) string {
	kind, _, _ := strings.Cut(j.ID, ":")
	switch kind {
	case "rto":
		return "RTOExceeded"
	case "rpo":
		return "RPOExceeded"
	case "rta":
		return "RecoveryBoundExceeded"
	case "recovered-by":
		return "RecoveredByUndo"
	case "loss":
		return "WritesLost"
	case "alert", "notified", "detection":
		return "NotDetected"
	case "contract", "works":
		return "DegradedBeyondContract"
	case "breaker":
		return "BreakerMisbehaved"
	}
	return "ExpectationNotMet"
}

// integrity is about the data that came back; how much was lost is the RPO's matter.
func integrity(r drills.Record) junitCase {
	c := junitCase{Name: "integrity", Time: seconds(0)}
	if len(r.Canaries) == 0 || !concluded(r) {
		c.Skipped = &junitSkipped{Message: "no canary was read back"}
		return c
	}
	for _, x := range r.Canaries {
		switch {
		case x.Error != "":
			c.Error = problem("CanaryBroken", x.Name+": "+x.Error)
		case x.Corrupt+x.Phantom > 0:
			c.Failure = problem("DataCorrupt", fmt.Sprintf("canary %s read back %d corrupt and %d phantom writes", x.Name, x.Corrupt, x.Phantom))
			return c
		}
	}
	return c
}

func residue(r drills.Record) junitCase {
	c := junitCase{Name: "residue", Time: seconds(0)}
	var what []string
	for _, x := range r.Residue {
		what = append(what, fmt.Sprintf("%s on %s: %s", x.Change.Fault, x.Change.Member, x.What))
	}
	if len(what) > 0 {
		c.Failure = problem("ResidueLeft", strings.Join(what, "; "))
	}
	return c
}
