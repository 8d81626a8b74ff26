package reports

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// failed is the same drill against the variant whose subscriber never subscribes again: WebSocket delivery stays down.
func failed() drills.Record {
	r := passed()
	r.Opened.Run = "20261123T181002Z-redis-primary-partition-m1v7te"
	r.Opened.Profile = "ci"
	r.Opened.Objectives = drills.Objectives{RTO: dur(60), RPO: dur(45), Source: drills.Source{Document: "profile ci", Clause: "redis"}}
	r.Outcome, r.Cause, r.Sentence = drills.Fail, "ws-delivery", "ws-delivery never recovered"
	r.Probes[1] = probe("ws-delivery", "websocket", 85, [2]float64{20.16, 99})
	r.Times.T6, r.Times.T7 = nil, nil
	e := r.Expectations
	e[0] = drills.Judged{ID: "rto", Title: "recovery time objective (RTO)", Target: "< 1m0s", Actual: "not recovered within 1m10.588s", Verdict: drills.NotMet, Cause: "ws-delivery", Why: "ws-delivery never recovered", Source: "profile ci redis"}
	e[1].Actual, e[1].Verdict, e[1].Span, e[1].Why = "not recovered within 1m10.588s", drills.NotMet, nil, "ws-delivery never recovered"
	e[2].Target, e[2].Source = "< 45s", "profile ci redis"
	e[9].Verdict, e[9].Actual, e[9].Why = drills.NotMet, "97.10% of 300, p95 212ms, p99 250ms", "API keeps answering: 97.10% of 300, p95 212ms, p99 250ms"
	r.Findings = append(r.Findings, drills.Finding{ID: "not-alerted:ws-delivery", Severity: drills.SeverityWarning, Title: "No alert tells that WebSocket delivery is down", Detail: "The probe ws-delivery was down for 65 s; no alert of the monitoring names it."})
	return r
}

// aborted stops on a stop condition before recovery is seen.
func aborted() drills.Record {
	r := passed()
	r.Opened.Run = "20261123T190511Z-redis-primary-partition-w2c8ab"
	r.Outcome, r.Cause, r.Sentence = drills.Aborted, string(drills.StopByCondition), "alert PostgresDown (critical) fires and is not expected"
	r.Stop = &drills.Stop{Cause: drills.StopByCondition, Reason: r.Sentence, Truncated: true}
	r.Ended = sec(40)
	r.Phases = phases(0, 0.4, 3.2, 14.0, 15.2, 24.1, 26, 40)
	r.Times.T2, r.Times.T5, r.Times.T6, r.Times.T7, r.Times.T8 = nil, nil, nil, nil, nil
	f := cut()
	f.Lift, f.UndoneAt = time.Time{}, sec(24.3)
	r.Faults = []drills.FaultRecord{f}
	r.Load, r.Windows, r.Queries, r.Findings = nil, nil, nil, nil
	r.Alerts = []drills.AlertLife{{Name: "PostgresDown", Severity: "critical", Firing: ivp(23, 24)}}
	r.Probes = []drills.ProbeMeasured{probe("redis-write", "redis", 39, [2]float64{20.11, 21.05}), probe("ws-delivery", "websocket", 39, [2]float64{20.16, 26.3})}
	r.Canaries = nil
	for i := range r.Expectations {
		j := &r.Expectations[i]
		j.Verdict, j.Actual, j.Span, j.Why = drills.Unclear, "not seen", nil, "the run ended before it could be decided"
	}
	r.Detection = &drills.Judged{ID: "detection", Title: "time to the first alert", Actual: "no alert", Verdict: drills.NotMeasured}
	return r
}

// blocked never injects: a replica is missing and an alert already fires.
func blocked() drills.Record {
	r := drills.Record{
		Schema: drills.Schema, Opened: opened(), Started: base(), Ended: sec(2.1), Outcome: drills.BlockedRun, Cause: "blocked",
		Sentence: "redis: replicas: 1; alerts firing: RedisReplicaDown", Phases: phases(0, 0.4), Checks: checks(), Events: 14, Head: "77d0",
	}
	r.Opened.Run = "20261124T060000Z-redis-primary-partition-z9q1ff"
	r.Opened.Purpose, r.Opened.Slot = drills.Scheduled, "monthly@2026-11-24T06:00:00Z"
	r.Checks[3] = drills.Check{Name: "redis: replicas", Expected: ">= 2", Actual: "1", Hint: "start redis-3, or see `simulacro status`"}
	r.Checks[6] = drills.Check{Name: "alerts firing", Expected: "none", Actual: "RedisReplicaDown", Hint: "silences do not help: resolve the alert first"}
	r.Phases = append(r.Phases, drills.PhaseSpan{Phase: drills.Restoring, From: sec(1.8), To: sec(2)}, drills.PhaseSpan{Phase: drills.Closed, From: sec(2.1), To: sec(2.1)})
	return r
}

// dirty leaves a rule behind.
func dirty() drills.Record {
	r := passed()
	r.Outcome, r.Cause, r.Dirty = drills.Inconclusive, "residue", true
	r.Sentence = "Something of ours was left behind: table simulacro_k3x9qa is still in the namespace of redis-1"
	r.Faults[1].Undone, r.Faults[1].UndoneAt = nil, time.Time{}
	r.Residue = []drills.Residue{{Change: r.Faults[1].Change, What: "table simulacro_k3x9qa is still in the namespace of redis-1"}}
	return r
}

// invalid: the fault had no effect that could be proven, and the text is out to break a report.
func invalid() drills.Record {
	r := passed()
	evil := `<script>alert("x")</script> & 'quotes' ]]> ` + "\x1b[31mred\x00"
	r.Outcome, r.Cause, r.Sentence = drills.Invalid, "not-effective", "Fault partition on redis-1 had no proven effect: "+evil
	r.Opened.Drill.Title, r.Opened.Drill.Hypothesis = evil, evil
	r.Faults[1].Effect.Proven = false
	r.Probes[0].Name, r.Probes[2].Error = `"><img src=x onerror=alert(1)>`, evil
	r.Probes[1].Count.Throttled = 412
	r.Alerts[0].Name, r.Findings[0].Title, r.Canaries[0].Error = evil, evil, evil
	r.Opened.System.Environment = "staging"
	return r
}

// inconclusive straddles its target.
func inconclusive() drills.Record {
	r := passed()
	r.Outcome, r.Cause, r.Sentence = drills.Inconclusive, "rto", "recovery time objective (RTO): the measured interval straddles 11.85s"
	r.Expectations[0].Verdict, r.Expectations[0].Target, r.Expectations[0].Why = drills.Unclear, "< 11.85s", "the measured interval straddles 11.85s"
	r.Opened.Objectives.RTO = dur(11.85)
	r.Expectations[6] = drills.Judged{ID: "alert:X", Title: "alert X fires", Target: "within 1m30s of the fault", Actual: "not measured", Verdict: drills.NotMeasured}
	return r
}
