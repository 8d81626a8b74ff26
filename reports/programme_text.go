package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/eevans-d/simulacro/drills"
)

// caveats are printed with every programme report.
func caveats(p Programme) []string {
	out := []string{
		"Strict rate: passed / (passed + failed + inconclusive + aborted after injection). Intention to drill: passed / every slot that was due, whatever became of it.",
		"The lower bound is one-sided 95 % Clopper-Pearson; beside it the two-sided 95 % Wilson interval. Demonstrated: the lower bound reaches the target. Consistent with target: the share does, the bound does not.",
		"Drills are not independent of each other (same system, same scenario): bounds hold within a stratum (one system file, one environment, one drill file), and start anew when one of these changes.",
		"Scheduled, ad-hoc and CI runs are never pooled. Retests, and further runs of a slot that was already filled, stand outside the rate.",
		"Drills at quiet hours and under simulated load overstate. Looking at a rolling rate often enough will show a good one by luck.",
	}
	for _, g := range p.Groups {
		if g.Environment == "reference" {
			return append(out, "Runs on the reference system are no evidence of any production system.")
		}
	}
	return out
}

// ProgrammeJSON writes the counted programme.
func ProgrammeJSON(w io.Writer, p Programme) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(p)
}

// ProgrammeText writes the programme for a terminal.
func ProgrammeText(w io.Writer, p Programme) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Drill programme, %s to %s: %d runs and slots, target %s\n", p.From.UTC().Format(time.DateOnly), p.To.UTC().Format(time.DateOnly), len(p.Runs), percent(p.Target))
	for _, g := range p.Groups {
		textGroup(&b, g)
	}
	textMonths(&b, p)
	t := columns()
	for _, l := range p.Runs {
		t.AppendRow(table.Row{l.At.UTC().Format("2006-01-02 15:04"), lineOutcome(l), l.Counted, l.Purpose, l.Component, l.Drill, span(l.RTA), span(l.RPA), orSlot(l), l.Dir})
	}
	put(&b, "Every run and slot (time, outcome, counted as, purpose, component, drill, RTA, RPA, run, evidence)", t)
	for _, c := range caveats(p) {
		fmt.Fprintf(&b, "\n  %s", c)
	}
	b.WriteString("\n")
	_, err := w.Write(b.Bytes())
	return err
}

func textGroup(b *bytes.Buffer, g Group) {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendHeader(table.Row{"", "strict", "", "lower 95 %", "Wilson 95 %", "intention", "verdict", "excluded", "RTA median / max (target)", "RPA median / max (target)", "last pass"})
	for _, r := range append([]Rate{g.All}, g.Components...) {
		t.AppendRow(table.Row{
			printable(r.Name), fmt.Sprintf("%d/%d", r.Passed, r.N()), optional(r.Strict), rateText(r.Lower), wilsonText(r), intentionText(r), r.Verdict,
			fmt.Sprint(r.Excluded), spreadText(r.RTA, r.NoRTA), spreadText(r.RPA, r.NoRPA), orDash(r.LastPass),
		})
	}
	fmt.Fprintf(b, "\nEnvironment %s, purpose %s\n%s\n", printable(g.Environment), g.Purpose, t.Render())
	for _, r := range append([]Rate{g.All}, g.Components...) {
		for _, w := range r.Warnings {
			fmt.Fprintf(b, "  ! %s: %s\n", printable(r.Name), w)
		}
	}
	s := columns()
	for _, r := range g.Strata {
		s.AppendRow(table.Row{r.Name, fmt.Sprintf("%d/%d", r.Passed, r.N()), "lower " + rateText(r.Lower), r.Verdict, r.Needs})
	}
	put(b, "Strata", s)
}

// rateText rounds down: a share just below a target must not look like it.
func rateText(share float64) string { return fmt.Sprintf("%.1f %%", math.Floor(share*1000+1e-9)/10) }

func optional(share *float64) string {
	if share == nil {
		return "–"
	}
	return rateText(*share)
}

func intentionText(r Rate) string {
	if r.Intention == nil {
		return "–"
	}
	return fmt.Sprintf("%d/%d %s", r.Passed, r.Due, rateText(*r.Intention))
}

func wilsonText(r Rate) string {
	if r.N() == 0 {
		return "–"
	}
	return rateText(r.WilsonLow) + "–" + rateText(r.WilsonHigh)
}

// spreadText gives the median and the largest length, p95 only where it is not the largest under another name.
func spreadText(s Spread, none int) string {
	var out []string
	if s.N > 0 {
		text := fmt.Sprintf("%s / %s", tidy(s.Median), tidy(s.Max))
		if s.P95 > 0 {
			text += ", p95 " + tidy(s.P95)
		}
		out = append(out, fmt.Sprintf("%s of %d", text, s.N))
	}
	if none > 0 {
		out = append(out, fmt.Sprintf("%d without a length", none))
	}
	if s.Over > 0 {
		out = append(out, fmt.Sprintf("%d over target", s.Over))
	}
	if len(out) == 0 {
		return "–"
	}
	if s.Target > 0 {
		return strings.Join(out, ", ") + " (< " + s.Target.String() + ")"
	}
	return strings.Join(out, ", ")
}

func tidy(d drills.Duration) string { return d.D().Round(time.Millisecond).String() }

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func lineOutcome(l RunLine) string {
	if l.Dirty {
		return string(l.Outcome) + " (dirty)"
	}
	return string(l.Outcome)
}

func orSlot(l RunLine) string {
	if l.Run == "" {
		return "slot " + l.Slot
	}
	return l.Run
}
