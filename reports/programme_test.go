package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// month makes a run of the n-th month.
func month(r drills.Record, n int, purpose drills.Purpose, env string) Ref {
	r.Started = time.Date(2026, time.January+time.Month(n), 3, 6, 0, 0, 0, time.UTC)
	s := *r.Opened.System
	s.Environment = env
	r.Opened.System = &s
	r.Opened.Purpose, r.Opened.Run = purpose, fmt.Sprintf("run-%s-%s-%d", env, purpose, n)
	if purpose == drills.Scheduled {
		r.Opened.Slot = slotOf(n).ID()
	}
	return Ref{Record: r, Dir: "runs/" + r.Opened.Run}
}

func slotOf(n int) drills.Slot {
	return drills.Slot{Entry: "monthly", Due: time.Date(2026, time.January+time.Month(n), 3, 6, 0, 0, 0, time.UTC)}
}

func year() ([]Ref, []SlotResult) {
	out := []drills.Record{passed(), passed(), failed(), passed(), aborted(), blocked(), passed(), passed(), inconclusive(), passed()}
	var runs []Ref
	var slots []SlotResult
	for i, r := range out {
		runs = append(runs, month(r, i, drills.Scheduled, "staging"))
		slots = append(slots, SlotResult{Slot: slotOf(i), Run: runs[i].Record.Opened.Run})
	}
	again := month(passed(), 2, drills.Scheduled, "staging")
	again.Record.Started = again.Record.Started.Add(time.Hour)
	again.Record.Opened.Run += "-again"
	runs = append(runs, again, month(passed(), 9, drills.AdHoc, "staging"), month(passed(), 9, drills.Retest, "staging"), month(failed(), 9, drills.CI, "reference"))
	slots = append(slots, SlotResult{Slot: slotOf(10), Reason: "nobody was serving", Stratum: Stratum{System: "gad", Environment: "staging", Component: "redis", Drill: "redis-primary-partition"}})
	return runs, slots
}

func TestProgrammeCounts(t *testing.T) {
	p := NewProgramme(twice(year()))
	g := p.Groups[0]
	if g.Environment != "staging" || g.Purpose != drills.Scheduled || len(g.Strata) != 1 {
		t.Fatalf("first group: %s %s, %d strata", g.Environment, g.Purpose, len(g.Strata))
	}
	r := g.All
	if r.Passed != 6 || r.Failed != 1 || r.Aborted != 1 || r.Inconclusive != 1 || r.Excluded != 2 || r.Due != 11 {
		t.Errorf("counts: %+v", r)
	}
	if *r.Strict != 6.0/9 || *r.Intention != 6.0/11 || r.Verdict != TargetMissed {
		t.Errorf("strict %v, intention %v, verdict %s", *r.Strict, *r.Intention, r.Verdict)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "excluded") {
		t.Errorf("warnings: %v", r.Warnings)
	}
	if r.RTA.N != 7 || r.NoRTA != 2 || r.RTA.Max != dur(11.895) || r.RTA.Target != dur(11.85) || r.RTA.Over != 1 || r.RTA.P95 != 0 {
		t.Errorf("RTA: %+v, %d without", r.RTA, r.NoRTA)
	}
	if len(p.Runs) != 15 {
		t.Errorf("%d lines, want every run and the missed slot: 15", len(p.Runs))
	}
	for _, g := range p.Groups[1:] {
		if g.Purpose == drills.Retest && (g.All.Passed != 2 || g.All.Verdict != OutsideRate) {
			t.Errorf("retests: %+v", g.All)
		}
	}
}

func twice(runs []Ref, slots []SlotResult) ([]Ref, []SlotResult, float64) { return runs, slots, 0.95 }

// A rerun until green must not turn a failed slot into a passed one, whatever the order in which the runs are given.
func TestRerunIsARetest(t *testing.T) {
	bad, good := month(failed(), 1, drills.Scheduled, "staging"), month(passed(), 1, drills.Scheduled, "staging")
	good.Record.Started = good.Record.Started.Add(time.Minute)
	for _, runs := range [][]Ref{{bad, good}, {good, bad}} {
		p := NewProgramme(runs, nil, 0.95)
		if all := p.Groups[0].All; all.Passed != 0 || all.Failed != 1 || all.Due != 1 {
			t.Errorf("the slot counts as %+v", all)
		}
	}
}

func TestVerdictsAndStrata(t *testing.T) {
	clean := func(n int, digests ...string) Programme {
		var runs []Ref
		for i := range n {
			x := month(passed(), i, drills.CI, "ci")
			d := *x.Record.Opened.Drill
			d.Digest = digests[i%len(digests)]
			x.Record.Opened.Drill = &d
			runs = append(runs, x)
		}
		return NewProgramme(runs, nil, 0.95)
	}
	for _, x := range []struct {
		p       Programme
		verdict string
		needs   string
	}{
		{clean(59, "a"), Demonstrated, ""},
		{clean(58, "a"), Consistent, "59 drills with 0 not passed"},
		{clean(118, "a", "b"), Consistent, "59 drills"},
	} {
		all := x.p.Groups[0].All
		if all.Verdict != x.verdict || !strings.Contains(all.Needs, x.needs) {
			t.Errorf("%d runs: %s, %q", all.N(), all.Verdict, all.Needs)
		}
		if all.Due != 0 || all.Intention != nil {
			t.Error("intention to drill without slots")
		}
	}
	for _, s := range clean(118, "a", "b").Groups[0].Strata {
		if s.Verdict != Demonstrated || s.N() != 59 {
			t.Errorf("stratum %s: %s of %d", s.Name, s.Verdict, s.N())
		}
	}
	stopped := month(aborted(), 1, drills.CI, "ci")
	stopped.Record.Faults = nil
	if all := NewProgramme([]Ref{stopped}, nil, 0.95).Groups[0].All; all.Excluded != 1 || all.Verdict != NoEvidence || all.Strict != nil {
		t.Errorf("aborted before injection: %+v", all)
	}
}

func TestGate(t *testing.T) {
	p := NewProgramme(twice(year()))
	for text, met := range map[string]bool{"strict>=95%": false, "strict >= 66 %": false, "strict>=0%": true, "itd>=54%": false, "lower>=30%": false} {
		g, err := ParseGate(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := g.Check(p); got.Met != met || len(got.Lines) != 2 {
			t.Errorf("%s: %v\n%s", text, got.Met, got)
		}
	}
	only := NewProgramme(filterRefs("staging"))
	for text, met := range map[string]bool{"strict>=66%": true, "strict>=67%": false, "itd>=54%": true, "itd>=55%": false, "lower>=34%": true, "lower>=35%": false} {
		g, _ := ParseGate(text)
		if got := g.Check(only); got.Met != met {
			t.Errorf("%s: %v\n%s", text, got.Met, got)
		}
	}
	if g, _ := ParseGate("strict>=0%"); g.Check(Programme{}).Met {
		t.Error("no run at all meets a gate")
	}
	for _, bad := range []string{"", "strict", "strict>=", "strict>=95", "rta>=95%", "strict>=101%", "strict>=-1%", "strict>=NaN%", "strict<=5%"} {
		if _, err := ParseGate(bad); drills.CodeOf(err) != drills.Usage {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func filterRefs(env string) ([]Ref, []SlotResult, float64) {
	runs, slots := year()
	var out []Ref
	for _, r := range runs {
		if r.Record.Opened.System.Environment == env {
			out = append(out, r)
		}
	}
	return out, slots, 0.95
}

func TestProgrammeGolden(t *testing.T) {
	p := NewProgramme(twice(year()))
	for name, f := range map[string]func(io.Writer, Programme) error{"programme.txt": ProgrammeText, "programme.html": ProgrammeHTML, "programme.json": ProgrammeJSON, "nothing.txt": func(w io.Writer, _ Programme) error { return ProgrammeText(w, NewProgramme(nil, nil, 0.95)) }} {
		var a, b bytes.Buffer
		if err := f(&a, p); err != nil {
			t.Fatal(err)
		}
		if err := f(&b, p); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%s: two renderings differ", name)
		}
		golden(t, name, a.Bytes())
		if strings.HasSuffix(name, "json") && !json.Valid(a.Bytes()) {
			t.Error("not JSON")
		}
	}
}
