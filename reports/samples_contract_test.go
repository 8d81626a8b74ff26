package reports

import "github.com/eevans-d/simulacro/drills"

// degraded is a run with a contract: honest refusals by one probe, one that had to work and did, one that was declared lost
// and one that nobody had thought of.
func degraded() drills.Record {
	r := passed()
	d := *r.Opened.Drill
	d.Expect.Contract = &drills.Contract{
		Window: [2]string{"T0", "lift"}, MustWork: []string{"api-health"}, MayLose: []string{"redis-write"}, Others: "finding",
		Answers: []drills.Answers{{Probe: "api-tasks", Within: dur(2), Allowed: []string{"HTTP 503"}, Honest: 0.99, P95: dur(0.5)}},
	}
	r.Opened.Drill = &d
	window := func(name string, good, bad int, s drills.ContractStat) drills.WindowStat {
		return drills.WindowStat{Probe: name, Title: drills.ContractTitle, Window: iv(t0s, t0s+15), Count: drills.Classes{Good: good, Failed: bad}, Degraded: &s}
	}
	quick := drills.ContractStat{P50: drills.Quantile{At: dur(0.001)}, P95: drills.Quantile{At: dur(0.003)}, P99: drills.Quantile{At: dur(0.007)}, Said: []drills.Said{{Class: "good", Count: 300, Slowest: dur(0.008)}}}
	r.Windows = append(r.Windows,
		window("api-health", 300, 0, quick),
		window("api-tasks", 12, 288, drills.ContractStat{
			Asked: d.Expect.Contract.Answers[0], InTime: 12, Honest: 262, P50: drills.Quantile{At: dur(0.002)}, P95: drills.Quantile{At: dur(2.1)}, P99: drills.Quantile{At: dur(3)},
			Said: []drills.Said{{Class: "failed", Text: "HTTP 503, Retry-After", Count: 262, Slowest: dur(0.004)}, {Class: "timeout", Text: "no answer in time", Count: 26, Slowest: dur(3)}, {Class: "good", Count: 12, Slowest: dur(0.009)}},
		}),
		window("redis-write", 0, 300, drills.ContractStat{Said: []drills.Said{{Class: "refused", Text: "connect: connection refused", Count: 300, Slowest: dur(0.001)}}}),
		window("stats", 120, 180, drills.ContractStat{Said: []drills.Said{{Class: "failed", Text: "HTTP 500 <b>", Count: 180, Slowest: dur(0.2)}, {Class: "good", Count: 120, Slowest: dur(0.02)}}}),
	)
	r.Expectations = append(r.Expectations,
		drills.Judged{ID: "contract:api-tasks", Title: "degraded as promised: api-tasks", Target: ">= 99% honest answers, p95 < 500ms, each within 2s, good or HTTP 503", Actual: "91.33% honest answers, p95 2.1s of 300", Verdict: drills.NotMet, Cause: "degradation", Why: "While the fault was in force api-tasks: 91.33% honest answers, >= 99% honest answers was asked; p95 2.1s, p95 < 500ms was asked"},
		drills.Judged{ID: "works:api-health", Title: "still works: api-health", Target: "as before the fault", Actual: "0 of 300 bad", Verdict: drills.Met},
	)
	r.Breakers = []drills.BreakerMeasured{
		sampleBreaker("api-1:8000", drills.BreakerByMetrics), sampleBreaker("probe api-tasks", drills.BreakerByTraffic),
		{Name: "api/bot", Instance: "probe bot", Source: drills.BreakerByTraffic, Readings: 40, Largest: dur(0.1), Error: "failures came at once from the first one", Raw: "probe-bot.csv"},
	}
	r.Outcome, r.Cause, r.Sentence = drills.Fail, "degradation", r.Expectations[len(r.Expectations)-2].Why
	r.Findings = append(r.Findings, drills.Finding{ID: "undeclared-loss:stats", Severity: drills.SeverityWarning, Title: "stats degraded during the fault and is not in the drill's contract", Detail: "180 of 300 bad, 0 of 200 before the fault"})
	return r
}

// sampleBreaker opens 2.4 s after T0, tries twice and closes 1.2 s after the lift.
func sampleBreaker(instance, source string) drills.BreakerMeasured {
	span := func(state drills.BreakerState, from float64, calls, failures, rejected int) drills.BreakerSpan {
		return drills.BreakerSpan{State: state, Enter: iv(from, from+0.1), Calls: calls, Failures: failures, Rejected: rejected, Waited: float64(failures) * 2}
	}
	return drills.BreakerMeasured{
		Name: "api/db", Instance: instance, Source: source, Readings: 640, Largest: dur(0.13), From: sec(2), To: sec(80), Raw: "breakers-api-1_8000.csv",
		Spans: []drills.BreakerSpan{
			span(drills.BreakerClosed, 2, 310, 5, 0), span(drills.BreakerOpen, t0s+2.4, 0, 0, 40), span(drills.BreakerHalfOpen, t0s+4.4, 1, 1, 41),
			span(drills.BreakerOpen, t0s+6.4, 0, 0, 38), span(drills.BreakerHalfOpen, t0s+16.1, 1, 0, 2), span(drills.BreakerClosed, t0s+16.2, 900, 0, 0),
		},
	}
}
