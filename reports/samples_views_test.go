package reports

import (
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// seenThreeTimes is the passed record with everything that the three views, SLOs and budgets add.
func seenThreeTimes() drills.Record {
	r := passed()
	r.Opened.Readiness = []drills.Diagnosis{
		{Part: "system", What: "component redis", Level: drills.LevelOK, Found: "3 of 3 running"},
		{Part: "monitoring", What: "rule SlowQueries", Level: drills.LevelNotChecked, Found: "no data for it now; its metrics exist", Topic: drills.TopicAlerts},
		{Part: "monitoring", What: "rule RedisDown", Level: drills.LevelProblem, Found: "watches the exporter of redis, not the service", Why: "it does not fire", Mend: "ask redis_up", Topic: drills.TopicAlerts},
		{Part: "monitoring", What: "scrape job api", Level: drills.LevelOK, Found: "2 of 2 up", Topic: drills.TopicSources},
	}
	up := strings.Repeat("u", 8)
	seen := drills.Seen{
		Component: "redis", Service: "count(primary) or vector(0)", Exporter: "min(up)", From: sec(t0s - 2), Step: dur(1), Scrape: dur(1), Late: dur(0.9),
		States: up + "dddd" + up, Exporters: up + "uuuu" + up, How: "scraped every 1s (2 targets behind it)",
	}
	users := drills.UserOutage{Start: iv(20.06, 20.11), End: ivp(26.25, 26.3), Probes: []string{"redis-write", "ws-delivery"}}
	r.Prometheus = []drills.PromView{
		{Seen: seen, Outages: seen.Outages(), Resolution: seen.Resolution(), Compared: []drills.Compared{{Agreement: drills.SeenBrief, Users: &users, Text: "it had the end early"}}},
		{Seen: drills.Seen{Component: "api", Service: "sum(up)", Error: "connection refused"}},
	}
	r.Views = []drills.OutageView{
		{Who: "users", Known: drills.Happened, Began: &users.Start, Ended: users.End, Lasted: spanOf(6.14, 6.24), Resolution: "a probe every 50ms", Source: "probes redis-write, ws-delivery"},
		{Who: "prometheus", Known: drills.Happened, Began: ivp(18.4, 21.3), Lasted: nil, Resolution: "± 2.9s", Source: seen.Service, Why: "ends early"},
		{Who: "people", Known: drills.DidNotHappen, Why: "nobody was told", Steps: []drills.Milestone{{Name: "alert pending", Known: drills.DidNotHappen}, {Name: "alert firing", Known: drills.DidNotHappen}, {Name: "people notified", Known: drills.DidNotHappen}, {Name: "alert resolved", Known: drills.Happened, At: ivp(70, 71)}}},
	}
	t0, t6 := iv(14.405, t0s), iv(26.25, 26.3)
	r.Axis = &drills.Decomposition{
		Milestones: []drills.Milestone{
			{Name: "fault effective", Stamp: "T0", Known: drills.Happened, At: &t0, Source: "nftables counters"},
			{Name: "first bad answer", Stamp: "T1", Known: drills.Happened, At: &users.Start, Share: &drills.Shares{Lo: 0.47, Hi: 0.48}, Source: "probe redis-write"},
			{Name: "people notified", Known: drills.DidNotHappen, Why: "nobody was told"},
			{Name: "service stable", Stamp: "T6", Known: drills.Happened, At: &t6, Share: &drills.Shares{Lo: 0.99, Hi: 1.01}, Source: "probe ws-delivery"},
			{Name: "data complete", Stamp: "T7", Known: drills.Unmeasured, Why: "no canary was read back"},
		},
		Legs: []drills.Leg{
			{From: "fault effective", To: "first bad answer", Lasted: *spanOf(5.648, 5.705), Share: &drills.Shares{Lo: 0.47, Hi: 0.48}},
			{From: "first bad answer", To: "service stable", Lasted: *spanOf(6.14, 6.24), Share: &drills.Shares{Lo: 0.51, Hi: 0.53}},
		},
	}
	for _, phase := range drills.SLOPhases() {
		r.SLOs = append(r.SLOs, drills.SLOResult{Component: "redis", ID: "set-p95", Title: "Redis set p95", Phase: phase, Target: "p95 < 50ms", Actual: "100.00% of 200 good", Verdict: drills.Met, Source: "blueprint Tabla 3"})
	}
	for i, phase := range drills.SLOPhases() {
		s := drills.SLOResult{Component: "api", ID: "errors", Title: "API errors", Phase: phase, Target: "<= 0.01", Actual: "no data", Verdict: drills.NotMeasured, Why: "the query had no data"}
		if i == 1 {
			s.Actual, s.Verdict, s.Why = "0 to 0.5 over 9 points", drills.NotMet, "it rose to 0.5"
		}
		r.SLOs = append(r.SLOs, s)
	}
	r.Opened.Ledger = &drills.Ledger{Month: "2026-11", Runs: 3}
	r.Budgets = []drills.BudgetUse{
		{Component: "api", Availability: "99.99%", Budget: dur(259.2), Why: "only 1 of 2 probes of api were measured"},
		{Component: "redis", Availability: "99.99%", Budget: dur(259.2), Used: spanOf(6.14, 6.24), Before: spanOf(250, 255)},
	}
	return r
}

// TestNoDataIsNeverMet: neither an SLO without data nor a budget without a measurement may read like a success.
func TestNoDataIsNeverMet(t *testing.T) {
	rows := sloRows(seenThreeTimes())
	if len(rows) != 2 || len(rows[1].Cells) != 3 || rows[1].Cells[0].Word() != "" || rows[1].Cells[1].Word() != "missed" || rows[0].Cells[0].Word() != "met" {
		t.Errorf("%+v", rows)
	}
	b := budgetRows(seenThreeTimes())
	if b[0].Left != "not known" || !strings.HasPrefix(b[0].Used, "not measured") || b[1].Left != "used up" {
		t.Errorf("%+v", b)
	}
}

func TestMonthBudgets(t *testing.T) {
	r := seenThreeTimes()
	s := *r.Opened.System
	s.Components = map[string]drills.Component{"redis": {Objectives: drills.Objectives{Availability: "99.99%"}}}
	r.Opened.System = &s
	next := r
	next.Started = r.Started.AddDate(0, 1, 0)
	m := monthBudgets([]Ref{{Record: r}, {Record: r}, {Record: next}, {}})
	if len(m) != 2 || m[0].Ledger.Runs != 2 || m[0].Budgets[0].Before.Lo != dur(12.28) || m[1].Ledger.Month != "2026-12" {
		t.Errorf("%+v", m)
	}
	if rows := monthRows(Programme{Budgets: m}); len(rows) != 2 || !strings.Contains(rows[0].Share, "4.74–4.81 %") || rows[0].Note != "2 run(s), 2 without a measured outage" {
		t.Errorf("%+v", rows)
	}
}
