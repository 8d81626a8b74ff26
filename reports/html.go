package reports

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

//go:embed templates/report.html
var reportHTML string

//go:embed templates/views.html
var viewsHTML string

//go:embed templates/readiness.html
var readinessHTML string

//go:embed templates/style.css
var styleCSS string

// HTML writes the report of one run as one file without scripts, fonts or pictures of elsewhere: it can be archived,
// printed on A4 and read by a screen reader.
func HTML(w io.Writer, r drills.Record) error {
	t, err := template.New("report").Funcs(funcs(r)).Funcs(viewFuncs(r)).Parse(reportHTML + viewsHTML + readinessHTML)
	if err != nil {
		return fmt.Errorf("report template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, r); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

// funcs are the words of the template; those that need the record are bound to it.
func funcs(r drills.Record) template.FuncMap {
	d, s := drillOf(r), systemOf(r)
	return template.FuncMap{
		"css":   func() template.CSS { return template.CSS(styleCSS) }, //nolint:gosec // our own file
		"drill": func() drills.Drill { return d }, "system": func() drills.System { return s },
		"title": func() string { return title(r) }, "drillName": func() string { return drillName(r) },
		"outcome": func() string { return outcomeWord(r) }, "badge": func() string { return "badge " + badgeClass(r) },
		"concluded": func() bool { return concluded(r) }, "stops": func() string { return stops(d) },
		"sentence": func() string { return sentence(r) },
		"verdict":  func() string { return inWords(r) },
		"whole":    func() template.HTML { return wholeRunPicture(r) }, "zoom": func() template.HTML { return outagePicture(r) },
		"roleViews": func() []drills.RoleView { return roleViews(r) }, "shown": func() []drills.AlertLife { a, _ := told(r); return a }, "quiet": func() string { _, q := told(r); return q }, "origin": func() string { _, name := origin(r); return name }, "gauge": gauge, "reference": func() bool { return isReference(r) }, "referenceText": func() string { return referenceText },
		"failed": func() []drills.Check { return failedChecks(r) }, "stamps": func() []stampRow { return stamps(r) },
		"ifSeen": func(i *drills.Interval) string { return ifSeen(r, i) }, "since": func(i drills.Interval) string { return after(r, i) },
		"primaries": func(v drills.RoleView) string { return primaries(r, v) }, "lost": func() string { return lost(r) },
		"lasted": func() string { return lasted(r) }, "limits": func() []string { return limits(r) }, "sampling": func() string { return sampling(r) },
		"utc": utc, "clock": clock, "between": between, "short": short, "mark": mark, "ms": ms, "percent": percent, "lines": lines,
		"effect": effectText, "undo": undoText, "outages": outagesText, "ours": oursText, "purge": purgeText, "notes": canaryNotes, "loadNotes": loadNotes, "expected": expectedText,
		"vclass": vclass, "compact": compact, "target": target, "printable": printable, "labels": labels, "durationOf": func(p drills.PhaseSpan) string { return long(p.To.Sub(p.From)) },
		"checklist": func() []drills.ChecklistLine { return checklist(r) }, "notReady": func() []drills.Diagnosis { return notReady(r) }, "readinessSum": func() string { return readinessSum(r) },
		"windows":  func() []drills.WindowStat { return otherWindows(r) },
		"contract": func() []contractRow { return contractRows(r) }, "quantiles": quantilesText, "said": saidText, "breakers": func() []breakerRow { return breakerRows(r) }, "breakerSource": breakerSource, "contractWindow": func() string { return contractWindow(r) },
		"restoreNotes": restoreNotes, "restoreTook": restoreTook, "runbookRows": runbookRows,
		"list": func(xs []string) string { return strings.Join(xs, ", ") },
	}
}

func badgeClass(r drills.Record) string {
	switch {
	case r.Outcome == drills.Pass && !r.Dirty:
		return "b-pass"
	case r.Outcome == drills.Fail || r.Dirty:
		return "b-fail"
	}
	return "b-open"
}

func vclass(v drills.Verdict) string {
	switch v {
	case drills.Met:
		return "v met"
	case drills.NotMet:
		return "v not"
	case drills.Unclear:
		return "v open"
	}
	return "v none"
}

// compact is evidence as one line.
func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil || string(b) == "null" {
		return ""
	}
	return string(b)
}

func labels(m map[string]string) string {
	var out []string
	for _, kv := range lines(m) {
		out = append(out, kv[0]+"="+kv[1])
	}
	return strings.Join(out, ", ")
}

// gauge draws a measured interval on a line from zero past its target; the numbers stand beside it in the table.
func gauge(j *drills.Judged, target drills.Duration) template.HTML {
	if j == nil || j.Span == nil || target <= 0 {
		return ""
	}
	const w, h = 220.0, 22.0
	all := 1.15 * max(float64(target), float64(j.Span.Hi))
	x := func(d drills.Duration) float64 { return w * float64(d) / all }
	var s svg
	s.rect("g-line", 0, 10, w, 3, "")
	s.rect("g-span", x(j.Span.Lo), 6, max(3, x(j.Span.Hi)-x(j.Span.Lo)), 11, "")
	s.rect("g-to", 0, 10, x(j.Span.Lo), 3, "")
	s.line("g-target", x(target), 1, x(target), h)
	return s.picture("g-"+j.ID, w, h, "Measured "+j.Span.String()+" against the target", "The vertical line is the target, "+target.String()+".")
}
