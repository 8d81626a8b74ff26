package reports

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/eevans-d/simulacro/drills"
)

//go:embed templates/programme.html
var programmeHTML string

// ProgrammeHTML writes the programme as one file without scripts.
func ProgrammeHTML(w io.Writer, p Programme) error {
	pictures := 0
	t, err := template.New("programme").Funcs(template.FuncMap{
		"css":     func() template.CSS { return template.CSS(styleCSS) }, //nolint:gosec // our own file
		"caveats": func() []string { return caveats(p) },
		"picture": func(r Rate) template.HTML { pictures++; return ratePicture(r, p.Target, pictures) },
		"rates":   func(g Group) []Rate { return append([]Rate{g.All}, g.Components...) },
		"months":  func() []monthRow { return monthRows(p) },
		"percent": percent, "rate": rateText, "optional": optional, "wilson": wilsonText, "intention": intentionText, "spread": spreadText,
		"orDash": orDash, "lineOutcome": lineOutcome, "orSlot": orSlot, "span": span, "printable": printable, "utc": utc, "short": short,
		"reference": func() bool { return len(p.Groups) > 0 && allReference(p) }, "referenceText": func() string { return referenceText },
		"vword": verdictClass, "outcomeClass": outcomeClass,
	}).Parse(programmeHTML)
	if err != nil {
		return fmt.Errorf("programme template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return fmt.Errorf("programme: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

func allReference(p Programme) bool {
	for _, g := range p.Groups {
		if g.Environment != "reference" {
			return false
		}
	}
	return true
}

func verdictClass(verdict string) string {
	switch verdict {
	case Demonstrated:
		return "v met"
	case Consistent:
		return "v open"
	case TargetMissed:
		return "v not"
	}
	return "v none"
}

func outcomeClass(o drills.Outcome) string {
	switch o {
	case drills.Pass:
		return "v met"
	case drills.Fail:
		return "v not"
	}
	return "v open"
}

// ratePicture shows a rate with what is known of it: the point, the Wilson interval, the lower bound, the target.
func ratePicture(r Rate, target float64, number int) template.HTML {
	if r.N() == 0 {
		return ""
	}
	const w, h = 200.0, 22.0
	x := func(share float64) float64 { return 4 + (w-8)*share }
	var s svg
	s.rect("g-line", x(0), 10, x(1)-x(0), 2, "")
	s.rect("g-wilson", x(r.WilsonLow), 7, max(2, x(r.WilsonHigh)-x(r.WilsonLow)), 8, "Wilson 95 %: "+wilsonText(r))
	s.line("g-lower", x(r.Lower), 4, x(r.Lower), 18)
	s.rect("g-point", x(*r.Strict)-3, 5, 6, 12, "strict "+rateText(*r.Strict))
	s.line("g-target", x(target), 1, x(target), h-1)
	return s.picture(fmt.Sprintf("rate-%d", number), w, h, fmt.Sprintf("%d of %d passed", r.Passed, r.N()),
		fmt.Sprintf("Wilson interval %s, lower bound %s, target %s", wilsonText(r), rateText(r.Lower), percent(target)))
}
