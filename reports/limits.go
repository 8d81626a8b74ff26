package reports

import (
	"fmt"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// inWords is the verdict as a person would say it.
func inWords(r drills.Record) string {
	if r.Dirty {
		return "Something of ours could not be removed from the system: such a run never passes, and somebody has to look."
	}
	switch r.Outcome {
	case drills.Pass:
		return "The system recovered as its owners require. " + measuredWords(r)
	case drills.Fail:
		return "At least one objective or expectation was not met. " + measuredWords(r)
	case drills.Aborted:
		return "The run was stopped before everything could be decided. An aborted run counts as not passed."
	case drills.BlockedRun:
		return "A precondition did not hold, so nothing was injected. This run says nothing about recovery; it says that the system was not fit to be drilled."
	case drills.Invalid:
		return "The fault had no proven effect, or the measuring itself broke. Nothing can be concluded about the system from this run."
	case drills.Missed:
		return "This drill was due and was never started."
	}
	return "What was measured does not decide every objective and expectation. An inconclusive run counts as not passed."
}

func measuredWords(r drills.Record) string {
	var out []string
	if r.RTA != nil {
		out = append(out, fmt.Sprintf("Recovery time: %s (target %s).", r.RTA.Actual, target(r.RTA)))
	}
	if r.RPA != nil {
		out = append(out, fmt.Sprintf("Recovery point: %s (target %s).", r.RPA.Actual, target(r.RPA)))
	}
	return strings.Join(out, " ")
}

// limits says what the report does not show.
func limits(r drills.Record) []string {
	var out []string
	if isReference(r) {
		out = append(out, referenceText+" It was run against the reference system that comes with the tool.")
	}
	out = append(out,
		"Every time is an interval that holds the true instant. A target is met only if the upper bound is below it, and missed only if the lower bound is at or above it; in between is inconclusive and counts as not passed.",
		"How fine the measuring was: "+sampling(r)+".")
	if c := r.Opened.Calibration; c != "" {
		for _, part := range strings.Split(c, "\n") {
			out = append(out, "Calibration on this host: "+part+".")
		}
	} else {
		out = append(out, "The measuring was not calibrated on this host: its own error is known only from the sampling above (`simulacro calibrate`).")
	}
	out = append(out,
		"Canary writes are test data in a namespace of their own, not business records: how many were lost says how the store lost acknowledged writes, not which records of users.",
		"What was not measured says so and is never counted as met. Load and faults are simulated: a real disaster may differ in kind and in time of day.",
		"The record is hash-chained, which shows a change in the middle; that no run was left out can be shown only by a seal that somebody else keeps.")
	if s := r.Stop; s != nil && s.Truncated {
		out = append(out, "A stop condition shorter than the objective ended the observation: the recovery time is truncated.")
	}
	return out
}

// stopWords says a stop condition in words.
func stopWords(c drills.StopCondition) string {
	var s string
	switch {
	case c.Probe != nil:
		s = fmt.Sprintf("probe %s bad for %s", c.Probe.Name, c.Probe.Bad)
	case c.Alert != nil:
		s = "an alert of severity " + c.Alert.Severity
		if c.Alert.NotIn != "" {
			s += " that the drill does not expect"
		}
	case c.Outage > 0:
		s = fmt.Sprintf("%s of outage", c.Outage)
	default:
		s = fmt.Sprintf("%s since the first injection", c.Time)
	}
	if c.ObjectiveTruncated {
		s += " (truncates the objective)"
	}
	return s
}

// stops lists a drill's stop conditions in one sentence.
func stops(d drills.Drill) string {
	var out []string
	for _, c := range d.StopConditions {
		out = append(out, stopWords(c))
	}
	if len(out) == 0 {
		return "It has no stop conditions."
	}
	return "It stops early on " + strings.Join(out, "; ") + "."
}
