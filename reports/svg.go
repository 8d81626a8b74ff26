package reports

import (
	"fmt"
	"html"
	"html/template"
	"strings"
	"time"
)

// svg collects shapes. Every text goes through html.EscapeString, every number through %.1f: same record, same bytes.
type svg struct {
	b strings.Builder
}

func (s *svg) rect(class string, x, y, w, h float64, hover string) {
	if w <= 0 || h <= 0 {
		return
	}
	fmt.Fprintf(&s.b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"`, class, x, y, w, h)
	if hover == "" {
		s.b.WriteString("/>\n")
		return
	}
	fmt.Fprintf(&s.b, "><title>%s</title></rect>\n", clean(hover))
}

func (s *svg) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&s.b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, y1, x2, y2)
}

func (s *svg) text(class string, x, y float64, text string) {
	fmt.Fprintf(&s.b, `<text class="%s" x="%.1f" y="%.1f">%s</text>`+"\n", class, x, y, clean(text))
}

func (s *svg) path(class, d, hover string) {
	fmt.Fprintf(&s.b, `<path class="%s" d="%s"><title>%s</title></path>`+"\n", class, d, clean(hover))
}

// picture closes the drawing as one element that a screen reader announces by its name and description.
func (s *svg) picture(id string, w, h float64, name, desc string) template.HTML {
	head := fmt.Sprintf(`<svg viewBox="0 0 %.0f %.0f" role="img" aria-labelledby="%s-t %s-d" xmlns="http://www.w3.org/2000/svg">`+
		"\n"+`<title id="%s-t">%s</title><desc id="%s-d">%s</desc>`+"\n", w, h, id, id, id, clean(name), id, clean(desc))
	return template.HTML(head + s.b.String() + "</svg>") //nolint:gosec // built above from escaped text only
}

func clean(s string) string { return html.EscapeString(printable(s)) }

// fit cuts a text to about so many pixels of the small type that pictures use.
func fit(text string, px float64) string {
	r := []rune(printable(text))
	n := int(px / 5.6)
	if len(r) <= n {
		return string(r)
	}
	if n < 3 {
		return ""
	}
	return string(r[:n-1]) + "…"
}

// scale maps instants to x.
type scale struct {
	from, to time.Time
	x, w     float64
}

func (s scale) at(t time.Time) float64 {
	all := s.to.Sub(s.from)
	if all <= 0 {
		return s.x
	}
	share := float64(t.Sub(s.from)) / float64(all)
	return s.x + s.w*min(1, max(0, share))
}

// shows tells whether any of [from, to] is in the picture.
func (s scale) shows(from, to time.Time) bool { return !to.Before(s.from) && !from.After(s.to) }
