package reports

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/eevans-d/simulacro/drills"
)

// Text writes the report of one run for a terminal.
func Text(w io.Writer, r drills.Record) error {
	var b bytes.Buffer
	textHead(&b, r)
	textChecks(&b, r)
	textJudged(&b, r)
	textTimes(&b, r)
	textViews(&b, r)
	textFaults(&b, r)
	textProbes(&b, r)
	textContract(&b, r)
	textBreakers(&b, r)
	textCanaries(&b, r)
	textLoad(&b, r)
	textRestores(&b, r)
	textRunbooks(&b, r)
	textAlerts(&b, r)
	textSLOs(&b, r)
	textBudgets(&b, r)
	textFindings(&b, r)
	textReadiness(&b, r)
	_, err := w.Write(b.Bytes())
	return err
}

func textHead(b *bytes.Buffer, r drills.Record) {
	s, d := systemOf(r), drillOf(r)
	fmt.Fprintf(b, "%s  %s\n%s\n\n", outcomeWord(r), printable(title(r)), sentence(r))
	t := columns()
	t.AppendRow(table.Row{"run", r.Opened.Run})
	t.AppendRow(table.Row{"drill", fmt.Sprintf("%s (sha256 %s), component %s, purpose %s", drillName(r), short(d.Digest), d.Component, r.Opened.Purpose)})
	t.AppendRow(table.Row{"system", fmt.Sprintf("%s, environment %s (sha256 %s)", s.Name, s.Environment, short(s.Digest))})
	t.AppendRow(table.Row{"time", fmt.Sprintf("%s, took %s", utc(r.Started), lasted(r))})
	if r.Opened.Profile != "" {
		t.AppendRow(table.Row{"profile", r.Opened.Profile})
	}
	if isReference(r) {
		t.AppendRow(table.Row{"note", referenceText})
	}
	put(b, "", t)
}

func textChecks(b *bytes.Buffer, r drills.Record) {
	failed := failedChecks(r)
	if len(r.Checks) == 0 {
		return
	}
	fmt.Fprintf(b, "\nPreconditions: %d of %d hold\n", len(r.Checks)-len(failed), len(r.Checks))
	for _, c := range failed {
		fmt.Fprintf(b, "  ✗ %s\n", printable(c.Name))
		for _, x := range [][2]string{{"expected", c.Expected}, {"found", c.Actual}, {"hint", c.Hint}} {
			if x[1] != "" {
				fmt.Fprintf(b, "      %-9s %s\n", x[0], printable(x[1]))
			}
		}
	}
}

func textJudged(b *bytes.Buffer, r drills.Record) {
	t := columns()
	for _, j := range r.Expectations {
		t.AppendRow(table.Row{mark(j.Verdict), string(j.Verdict), j.Title, j.Actual, j.Target})
	}
	if len(r.Expectations) == 0 {
		return
	}
	put(b, "Objectives and expectations", t)
	if !concluded(r) {
		fmt.Fprintf(b, "  As measured only: this run is %s, so nothing is concluded from these values.\n", r.Outcome)
	}
	for _, j := range r.Expectations {
		if j.Why != "" {
			fmt.Fprintf(b, "  %s %s: %s\n", mark(j.Verdict), printable(j.Title), printable(j.Why))
		}
	}
}

func textTimes(b *bytes.Buffer, r drills.Record) {
	if r.Times.T0 == nil {
		return
	}
	t := columns()
	for _, s := range stamps(r) {
		t.AppendRow(table.Row{s.Name, s.Meaning, s.At, s.Rel, s.Source})
	}
	put(b, "Times (UTC; a span is an interval that holds the instant)", t)
}

func textFaults(b *bytes.Buffer, r drills.Record) {
	if len(r.Faults) == 0 {
		return
	}
	t := columns()
	for _, f := range r.Faults {
		t.AppendRow(table.Row{f.Change.ID, f.Change.Fault, f.Change.Member, effectText(f), undoText(f)})
	}
	put(b, "Faults", t)
}

func textProbes(b *bytes.Buffer, r drills.Record) {
	if len(r.Probes) == 0 {
		return
	}
	t := columns()
	for _, p := range r.Probes {
		t.AppendRow(table.Row{p.Name, fmt.Sprintf("%d samples every %s", p.Count.Total(), p.Every), fmt.Sprintf("%d bad", p.Count.Bad()), outagesText(p), oursText(p)})
	}
	put(b, "Probes", t)
}

func textCanaries(b *bytes.Buffer, r drills.Record) {
	if len(r.Canaries) == 0 {
		return
	}
	t := columns()
	for _, c := range r.Canaries {
		if c.Error != "" {
			t.AppendRow(table.Row{c.Name, "not measured: " + c.Error})
			continue
		}
		t.AppendRow(table.Row{
			c.Name, fmt.Sprintf("%d acknowledged", c.Acked), lostText(c),
			troublesText(c), purgeText(c),
		})
	}
	put(b, "Canaries (canary writes are not business records)", t)
	for _, c := range r.Canaries {
		for _, line := range canaryNotes(c) {
			fmt.Fprintf(b, "  %s: %s\n", c.Name, printable(line))
		}
	}
}

func textLoad(b *bytes.Buffer, r drills.Record) {
	if len(r.Load) == 0 {
		return
	}
	t := columns()
	for _, m := range r.Load {
		t.AppendRow(table.Row{
			m.Step, m.Engine, fmt.Sprintf("%d of %d connections", m.Connected, m.Wanted), fmt.Sprintf("%d of %d frames", m.Received, m.Expected),
			fmt.Sprintf("p95 %s, p99 %s", ms(m.P95), ms(m.P99)), m.Saturated,
		})
	}
	put(b, "Load", t)
	for _, m := range r.Load {
		for _, line := range loadNotes(m) {
			fmt.Fprintf(b, "  %s: %s\n", m.Step, printable(line))
		}
	}
}

// loadNotes are what is said of a load beside its row: what was the generator's own part, what it used, and its storms.
func loadNotes(m drills.LoadMeasured) []string {
	var out []string
	if m.Arrived != (drills.Quantiles{}) {
		out = append(out, fmt.Sprintf("up to the kernel's receive stamp p50 %s, p95 %s, p99 %s; then read within p50 %s, p99 %s",
			ms(m.Arrived.P50), ms(m.Arrived.P95), ms(m.Arrived.P99), ms(m.Reading.P50), ms(m.Reading.P99)))
	}
	if m.MemoryBytes > 0 && m.Connected > 0 {
		out = append(out, fmt.Sprintf("generator: %.1f MiB resident, %.1f MiB with shared pages counted once (%.2f KiB a connection)",
			float64(m.RSSBytes)/(1<<20), float64(m.MemoryBytes)/(1<<20), float64(m.MemoryBytes)/1024/float64(m.Connected)))
	}
	if m.Reordered > 0 {
		out = append(out, fmt.Sprintf("%d messages came after a later one", m.Reordered))
	}
	for _, s := range m.Storms {
		out = append(out, s.String())
	}
	if m.Quiet != nil {
		out = append(out, m.Quiet.String())
		for _, e := range m.Quiet.Ends {
			out = append(out, fmt.Sprintf("%d × %s", e.Count, e.Text))
		}
	}
	if m.Note != "" {
		out = append(out, m.Note)
	}
	return out
}

func textAlerts(b *bytes.Buffer, r drills.Record) {
	if len(r.Alerts) == 0 {
		return
	}
	t := columns()
	shown, quiet := told(r)
	for _, a := range shown {
		t.AppendRow(table.Row{a.Name, a.Severity, expectedText(a), "firing " + ifSeen(r, a.Firing), "notified " + ifSeen(r, a.Notified), "resolved " + ifSeen(r, a.Resolved)})
	}
	put(b, "Alerts", t)
	if quiet != "" {
		fmt.Fprintf(b, "  pending and never firing: %s\n", printable(quiet))
	}
}

func textFindings(b *bytes.Buffer, r drills.Record) {
	for _, x := range r.Residue {
		fmt.Fprintf(b, "\nRESIDUE  %s on %s: %s\n", x.Change.Fault, x.Change.Member, printable(x.What))
	}
	if len(r.Findings) > 0 {
		t := columns()
		for _, f := range r.Findings {
			t.AppendRow(table.Row{f.Severity, f.Title, f.Detail})
		}
		put(b, "Findings", t)
	}
}

// columns is a table without lines, for output that is read and grepped.
func columns() table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.Style{Box: table.BoxStyle{PaddingRight: "  "}, Options: table.OptionsNoBordersAndSeparators})
	return t
}

// put writes a titled table without trailing blanks. Control characters of foreign text never reach the terminal.
func put(b *bytes.Buffer, head string, t table.Writer) {
	if head != "" {
		fmt.Fprintf(b, "\n%s\n", head)
	}
	if t.Length() == 0 {
		return
	}
	for line := range strings.SplitSeq(t.Render(), "\n") {
		fmt.Fprintf(b, "  %s\n", strings.TrimRight(printable(line), " "))
	}
}

func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '\n' || c == '\t' {
			return ' '
		}
		if c < ' ' || c == 0x7f || (c >= 0x80 && c < 0xa0) {
			return '�'
		}
		return c
	}, s)
}
