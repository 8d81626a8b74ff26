package reports

import (
	"encoding/json"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// The sample records are written by hand after the drills of the reference system: what the fold of such runs looks like.

func base() time.Time { return time.Date(2026, 11, 23, 17, 30, 45, 120e6, time.UTC) }

// sec is an instant that many seconds after the run was opened.
func sec(s float64) time.Time { return base().Add(time.Duration(s * float64(time.Second))) }

func iv(from, to float64) drills.Interval { return drills.Interval{From: sec(from), To: sec(to)} }

func ivp(from, to float64) *drills.Interval { i := iv(from, to); return &i }

func dur(s float64) drills.Duration { return drills.Duration(s * float64(time.Second)) }

func spanOf(lo, hi float64) *drills.Span { return &drills.Span{Lo: dur(lo), Hi: dur(hi)} }

// t0s is T0 in seconds after the opening; the fault is lifted 15 s later.
const t0s = 14.412

// strip makes cells of half a second: bad between from and to (seconds), good else, with the load of n samples a cell.
func strip(end float64, n int, holes ...[2]float64) []drills.Bucket {
	var out []drills.Bucket
	for s := 2.0; s < end; s += 0.5 {
		b := drills.Bucket{Good: n, P95ms: 1.8}
		for _, h := range holes {
			lo, hi := max(s, h[0]), min(s+0.5, h[1])
			if hi > lo {
				b.Bad = int(float64(n)*(hi-lo)/0.5 + 0.5)
				b.Good = n - b.Bad
			}
		}
		out = append(out, b)
	}
	return out
}

func probe(name, kind string, end float64, holes ...[2]float64) drills.ProbeMeasured {
	p := drills.ProbeMeasured{
		Name: name, Kind: kind, Place: "network gad", Every: dur(0.05), Timeout: dur(0.25), Baseline: 1,
		From: sec(2), To: sec(end), Cell: dur(0.5), Strip: strip(end, 10, holes...), Late: dur(0.0007), LateMax: dur(0.0021), Gap: dur(0.0526),
		Realtime: true, Raw: name + ".jsonl", SHA256: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
	}
	for _, b := range p.Strip {
		p.Count.Good += b.Good
		p.Count.Refused += b.Bad
	}
	for _, h := range holes {
		o := drills.Outage{Kind: drills.Down, Start: iv(h[0]-0.05, h[0]), Bad: int((h[1] - h[0]) * 20), Samples: int((h[1] - h[0]) * 20)}
		if h[1] < end {
			o.End = ivp(h[1]-0.05, h[1])
		}
		p.Outages = append(p.Outages, o)
	}
	return p
}

func baseline(p string) drills.Baseline {
	return drills.Baseline{Probe: p, Window: iv(4, 14), Count: drills.Classes{Good: 200}, Share: 1, P50: dur(0.0011), P95: dur(0.0024), P99: dur(0.0041)}
}

func sampleDrill() *drills.Drill {
	no := 10000
	return &drills.Drill{
		Version: 1, Name: "redis-primary-partition", Title: "The Redis primary is cut off from its replicas", Component: "redis",
		Hypothesis:   "A new primary is elected within 30 s while the old one is still cut off; lost writes are counted",
		Environments: []string{"reference", "staging"},
		SteadyState:  drills.SteadyState{For: dur(10), Probes: map[string]drills.Share{"redis-write": 0.99, "ws-delivery": 0.99}},
		Method: []drills.Step{
			{ID: "load", Fault: "websocket-load", Target: drills.Target{Component: "api"}, Duration: dur(60)},
			{ID: "cut", At: 0, Fault: "partition", Target: drills.Target{Component: "redis", Role: "primary"}, Duration: dur(15), With: map[string]any{"from": "redis replicas, sentinel"}},
		},
		Recovery: drills.Recovery{While: drills.AnyTime, For: dur(10)},
		Expect:   drills.Expect{Loss: drills.Losses{{Canary: "redis-app", MaxWrites: &no}}},
		StopConditions: []drills.StopCondition{
			{Alert: &drills.AlertStop{Severity: "critical", NotIn: "expect"}},
			{Outage: dur(60), ObjectiveTruncated: true},
			{Time: dur(600)},
		},
		File: "drills/redis-primary-partition.yaml", Digest: "0c1fd2ae33f1f8f5ef6d2c34c3f1a4c9b7a4f8f0e1d2c3b4a5968778695a4b3c",
	}
}

func sampleSystem() *drills.System {
	return &drills.System{
		Version: 1, Name: "gad", Title: "GRUPO_GAD reference system", Environment: "reference", Disposable: true,
		Components: map[string]drills.Component{"redis": {Name: "redis", Kind: "redis", RecoveredMeans: []string{"redis-write", "ws-delivery"}, Canaries: []string{"redis-app"}}},
		File:       "compose/grupogad/system.yaml", Digest: "9e107d9d372bb6826bd81d3542a419d69e107d9d372bb6826bd81d3542a419d6",
	}
}

func opened() drills.Opened {
	return drills.Opened{
		Schema: drills.Schema, Run: "20261123T173045Z-redis-primary-partition-k3x9qa", Purpose: drills.AdHoc, Operator: "ana", Tool: "simulacro 0.1.0 (3f9a213)",
		Host:   map[string]string{"cores": "2", "kernel": "Linux 6.18", "load1": "1.31"},
		Engine: map[string]string{"docker": "20.10.24", "id": "7XQ2:LIVE", "cgroup": "v2"},
		Drill:  sampleDrill(), System: sampleSystem(),
		Objectives: drills.Objectives{RTO: dur(900), RPO: dur(60), Availability: "99.99%", Source: drills.Source{Document: "blueprint", Clause: "Tabla 10"}},
		Members: []drills.Member{
			{ID: "aaa111", Name: "redis-1", Service: "redis-1", Component: "redis", Role: "primary", State: "running", Image: "gad/redis:dev"},
			{ID: "bbb222", Name: "redis-2", Service: "redis-2", Component: "redis", Role: "replica", State: "running", Image: "gad/redis:dev"},
			{ID: "ccc333", Name: "redis-3", Service: "redis-3", Component: "redis", Role: "replica", State: "running", Image: "gad/redis:dev"},
		},
		Calibration: "outages of known size: start late by 0.6 ms p50 / 1.6 ms p99, length wrong by at most one period (50 ms); 500 of 500 known lost writes counted",
	}
}

func phases(at ...float64) []drills.PhaseSpan {
	names := []drills.Phase{drills.Planned, drills.Ready, drills.Steady, drills.Injecting, drills.Observing, drills.Restoring, drills.Verifying, drills.Closed}
	var out []drills.PhaseSpan
	for i, from := range at {
		to := from
		if i+1 < len(at) {
			to = at[i+1]
		}
		out = append(out, drills.PhaseSpan{Phase: names[i], From: sec(from), To: sec(to)})
	}
	return out
}

func checks() []drills.Check {
	return []drills.Check{
		{Name: "identity: engine id", OK: true, Expected: "any (environment reference)", Actual: "7XQ2:LIVE"},
		{Name: "environment", OK: true, Expected: "reference or staging", Actual: "reference"},
		{Name: "no other run", OK: true, Expected: "no guard", Actual: "no guard"},
		{Name: "redis: replicas", OK: true, Expected: ">= 2", Actual: "2"},
		{Name: "redis: lag", OK: true, Expected: "< 1s", Actual: "0.4 s"},
		{Name: "redis: quorum", OK: true, Expected: "ok", Actual: "ok"},
		{Name: "alerts firing", OK: true, Expected: "none", Actual: "none"},
	}
}

func cut() drills.FaultRecord {
	return drills.FaultRecord{
		Change: drills.Change{
			ID: "c2", Step: "cut", Fault: "partition", Class: drills.ClassUndo, Member: "redis-1", Duration: dur(15),
			Do: drills.Op{ID: "c2.do", Verb: "net.partition", Target: "aaa111"}, Undo: drills.Op{ID: "c2.undo", Verb: "net.heal", Target: "aaa111"},
		},
		Intended: sec(14.350),
		Effect:   &drills.Effect{From: sec(14.405), To: sec(t0s), Source: "nftables counters", Proven: true, Evidence: json.RawMessage(`{"dropped":41,"table":"simulacro_k3x9qa"}`)},
		Lift:     sec(t0s + 15), UndoneAt: sec(t0s + 15.061),
		Undone: &drills.Effect{From: sec(t0s + 15.01), To: sec(t0s + 15.06), Source: "nftables: table gone", Proven: true},
	}
}

func loadFault() drills.FaultRecord {
	return drills.FaultRecord{
		Change: drills.Change{
			ID: "c1", Step: "load", Fault: "websocket-load", Class: drills.ClassUndo, Member: "api-1", Duration: dur(60),
			Do: drills.Op{ID: "c1.do", Verb: "load.websocket", Target: "api"}, Undo: drills.Op{ID: "c1.undo", Verb: "load.stop", Target: "api"},
		},
		Intended: sec(14.1), Effect: &drills.Effect{From: sec(14.2), To: sec(14.3), Source: "load engine: 200 connections held", Proven: true},
		Lift: sec(74.3), UndoneAt: sec(75.0), Undone: &drills.Effect{From: sec(74.4), To: sec(75), Source: "load engine: all closed", Proven: true},
	}
}

func sampleLoad() drills.LoadMeasured {
	m := drills.LoadMeasured{
		Step: "load", Engine: "epoll, 1 process", Wanted: 200, Connected: 200, Drops: 12, Reconnects: 12, Published: 600, Expected: 117600, Received: 117204,
		P50: dur(0.0042), P95: dur(0.0188), P99: dur(0.412), Max: dur(0.98), ConnectP50: dur(0.0012), ConnectP99: dur(0.0093), RampTook: dur(0.41), LagP99: dur(0.0011), RSSBytes: 5 << 20, CPU: dur(1.9),
	}
	for s := 15; s < 75; s++ {
		p := drills.LoadPoint{At: sec(float64(s)), Open: 200, Received: 1960 + int64(s%7)*11, P95: dur(0.018)}
		if s == 15 {
			p.Open = 140
		}
		if s > 19 && s < 26 {
			p.Open, p.Received = 188, 310
		}
		m.Series = append(m.Series, p)
	}
	return m
}

func canary(lost int) drills.CanaryMeasured {
	c := drills.CanaryMeasured{
		Name: "redis-app", Kind: "redis", Place: "network gad", Connection: "persistent", Every: dur(0.02), Sent: 4100, Acked: 3790, Failed: 284, Indeterminate: 26,
		Survived: 3790 - lost, Lost: lost, Point: iv(t0s-0.021, t0s-0.02), ReadBack: iv(78, 81.2), From: sec(2), Cell: dur(0.5),
		Members: []drills.MemberRead{{Member: "redis-1", Found: 3790 - lost}, {Member: "redis-2", Found: 3790 - lost}, {Member: "redis-3", Found: 3790 - lost}},
		Purged:  true, PurgeProof: "3490 keys deleted, SCAN simulacro:k3x9qa:* on every member finds none", Raw: "canary-redis-app.jsonl", SHA256: "1f825aa2f0020ef7cf91dfa30da4668d791c5d4824fc8e41354b89ec05795ab3",
	}
	c.Strip = strip(80, 25, [2]float64{20.1, 26.3})
	if lost > 0 {
		c.NewestLost = iv(20.03, 20.04)
		c.Spans = []drills.LostSpan{{FromSeq: 621, ToSeq: 621 + int64(lost) - 1, Writes: lost, FirstAck: sec(t0s + 0.005), LastAck: sec(20.04)}}
		for i := range c.Strip {
			if s := 2 + float64(i)*0.5; s >= 14.5 && s < 20 {
				c.Strip[i] = drills.Bucket{Good: 1, Ours: 24}
			}
		}
	}
	return c
}

func alerts() []drills.AlertLife {
	return []drills.AlertLife{
		{
			Name: "RedisReplicationBroken", Severity: "critical", Expected: true, Labels: map[string]string{"instance": "redis-1:6379"},
			Pending: ivp(24, 25), Firing: ivp(39, 40), Notified: ivp(44.2, 44.2), Resolved: ivp(69, 70), ResolvedNotified: ivp(74.9, 74.9),
		},
		{Name: "ApiErrorRateHigh", Severity: "warning", Pending: ivp(22, 23), Resolved: ivp(34, 35)},
	}
}

func roles() []drills.RoleView {
	one := func(s float64, id string) drills.RoleView {
		return drills.RoleView{Component: "redis", At: sec(s), Primaries: []string{id}, Roles: map[string]string{id: "primary"}, Evidence: "SENTINEL MASTER gad"}
	}
	two := drills.RoleView{Component: "redis", At: sec(19.9), Primaries: []string{"aaa111", "ccc333"}, Disagreement: "redis-1 and redis-3 both answer role:master"}
	return []drills.RoleView{{Component: "api", At: sec(3)}, one(3, "aaa111"), two, one(30.2, "ccc333")}
}

func expectations() []drills.Judged {
	return []drills.Judged{
		{ID: "rto", Title: "recovery time objective (RTO)", Target: "< 15m0s", Actual: "11.838–11.895 s", Span: spanOf(11.838, 11.895), Verdict: drills.Met, Source: "blueprint Tabla 10", Evidence: "probe ws-delivery"},
		{ID: "rta", Title: "regression bound on the recovery time", Target: "< 30s", Actual: "11.838–11.895 s", Span: spanOf(11.838, 11.895), Verdict: drills.Met, Source: "drill redis-primary-partition"},
		{ID: "rpo", Title: "recovery point objective (RPO)", Target: "< 1m0s", Actual: "5.618–5.661 s, 268 of 3790 acknowledged writes lost", Span: spanOf(5.618, 5.661), Verdict: drills.Met, Source: "blueprint Tabla 10", Evidence: "canary redis-app"},
		{ID: "role-moved", Title: "the primary of redis moves to another member", Target: "within 30s", Actual: "5.481–5.495 s", Span: spanOf(5.481, 5.495), Verdict: drills.Met},
		{ID: "loss:redis-app", Title: "acknowledged writes of redis-app survive", Target: "at most 10000 lost", Actual: "268 of 3790 lost, 0 before the fault", Verdict: drills.Met},
		{ID: "rejoin", Title: "every member is back and in sync", Target: "within 2m0s of the lift", Actual: "0.727–0.788 s", Span: spanOf(0.727, 0.788), Verdict: drills.Met},
		{ID: "alert:RedisReplicationBroken", Title: "alert RedisReplicationBroken fires", Target: "within 1m30s of the fault", Actual: "24.588–25.595 s", Span: spanOf(24.588, 25.595), Verdict: drills.Met},
		{ID: "resolved:RedisReplicationBroken", Title: "alert RedisReplicationBroken resolves", Target: "within 3m0s of the lift", Actual: "39.588–40.588 s", Span: spanOf(39.588, 40.588), Verdict: drills.Met},
		{ID: "alerts:others", Title: "no other alert fires", Target: "none", Actual: "none", Verdict: drills.Met},
		{ID: "during:API keeps answering", Title: "API keeps answering", Target: ">= 99%", Actual: "99.67% of 300, p95 8ms, p99 41ms", Verdict: drills.Met},
	}
}

func stamp(from, to float64, source string) *drills.Stamp {
	return &drills.Stamp{Interval: iv(from, to), Source: source}
}

// passed is a partition that the system survives, with lost writes and two primaries as findings.
func passed() drills.Record {
	r := drills.Record{
		Schema: drills.Schema, Opened: opened(), Started: base(), Ended: sec(86.7), Outcome: drills.Pass,
		Sentence: "Every objective and expectation was met, with 2 finding(s) to look at",
		Phases:   phases(0, 0.4, 3.2, 14.0, 15.2, 76, 77.5, 86.7), Checks: checks(),
		Baselines: []drills.Baseline{baseline("redis-write"), baseline("ws-delivery"), baseline("api-tasks")},
		Faults:    []drills.FaultRecord{loadFault(), cut()},
		Times: drills.Times{
			T0: stamp(14.405, t0s, "nftables counters"), T1: stamp(20.06, 20.11, "probe redis-write"), T2: stamp(39, 40, "alert RedisReplicationBroken"),
			T4: stamp(19.89, 19.9, "roles of redis"), T5: stamp(30.1, 30.2, "roles of redis"), T6: stamp(26.25, 26.3, "probe ws-delivery"), T7: stamp(81.2, 81.2, "canary redis-app"), T8: stamp(30.1, 30.2, "roles of redis"),
		},
		Expectations: expectations(),
		Probes:       []drills.ProbeMeasured{probe("redis-write", "redis", 85, [2]float64{20.11, 21.05}), probe("ws-delivery", "websocket", 85, [2]float64{20.16, 26.3}), probe("api-tasks", "http", 85, [2]float64{20.4, 20.45})},
		Windows:      []drills.WindowStat{{Probe: "api-tasks", Title: "API keeps answering", Window: iv(t0s, t0s+15), Count: drills.Classes{Good: 299, Failed: 1}, Share: 0.99667, P50: dur(0.003), P95: dur(0.008), P99: dur(0.041)}},
		Canaries:     []drills.CanaryMeasured{canary(268)}, Load: []drills.LoadMeasured{sampleLoad()}, Alerts: alerts(), Roles: roles(),
		Queries: []drills.QueryResult{{Title: "error ratio", Query: `sum(rate(http_requests_total{status=~"5.."}[1m])) / sum(rate(http_requests_total[1m]))`, Window: iv(t0s, 30.2), Step: dur(1), Max: 0.021, Last: 0.004, Samples: 16, Resolution: "scrape every 5s"}},
		Findings: []drills.Finding{
			{ID: "lost-writes:redis-app", Severity: drills.SeveritySerious, Title: "268 acknowledged canary writes of redis-app were lost", Detail: "0 of them were acknowledged before the fault, 268 after; 3790 acknowledged in all. Canary writes are not business records."},
			{ID: "two-primaries:redis", Severity: drills.SeveritySerious, Title: "Two members of redis claimed to be primary at the same time", Detail: "First seen at 17:31:05.020, until 10.3s later. redis-1 and redis-3 both answer role:master"},
		},
		Notes:  []drills.Note{{At: sec(76), Text: "nothing of this run's label was left on the engine"}},
		Events: 214, Head: "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
	}
	e := r.Expectations
	r.RTA, r.RPA = &e[0], &e[2]
	r.Detection = &drills.Judged{ID: "detection", Title: "time to the first alert", Actual: "24.588–25.595 s", Span: spanOf(24.588, 25.595), Verdict: drills.Met, Evidence: "alert RedisReplicationBroken"}
	return r
}

func samples() map[string]drills.Record {
	return map[string]drills.Record{"pass": passed(), "fail": failed(), "aborted": aborted(), "blocked": blocked(), "dirty": dirty(), "invalid": invalid(), "inconclusive": inconclusive(), "degraded": degraded(), "views": seenThreeTimes(), "deliveries": deliveries(), "empty": {}}
}
