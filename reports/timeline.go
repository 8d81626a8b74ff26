package reports

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	plotWidth = 1040.0
	gutter    = 152.0
	rightEdge = 12.0
	top       = 62.0 // room for the T labels
)

// timeline draws rows over one common time axis. y is where the next row goes.
type timeline struct {
	svg
	scale
	r drills.Record
	y float64
}

// wholeRun is the picture of the run from its opening to its end.
func wholeRunPicture(r drills.Record) template.HTML {
	if r.Ended.Sub(r.Started) <= 0 || (r.Times.T0 == nil && len(r.Probes) == 0) {
		return ""
	}
	return draw(r, "whole", r.Started, r.Ended, "The whole run")
}

// outagePicture is the part around the first outage of the probes that mean recovered, where that is small in the whole run.
func outagePicture(r drills.Record) template.HTML {
	if r.Times.T0 == nil {
		return ""
	}
	d, s := drillOf(r), systemOf(r)
	names := drills.RecoveryProbes(&d, &s)
	from, to := r.Times.T0.From, r.Times.T0.To
	for _, p := range r.Probes {
		if len(names) > 0 && !slices.Contains(names, p.Name) {
			continue
		}
		i := slices.IndexFunc(p.Outages, func(o drills.Outage) bool { return !o.Start.To.Before(from) })
		if i >= 0 && p.Outages[i].End != nil && p.Outages[i].End.To.After(to) {
			to = p.Outages[i].End.To
		}
	}
	margin := max(time.Second, to.Sub(from)/8)
	from, to = from.Add(-margin), to.Add(margin)
	if r.Ended.Sub(r.Started) < 3*to.Sub(from) {
		return ""
	}
	return draw(r, "outage", from, to, "Around the outage")
}

func draw(r drills.Record, id string, from, to time.Time, name string) template.HTML {
	t := &timeline{scale: scale{from, to, gutter, plotWidth - gutter - rightEdge}, r: r, y: top}
	if r.Times.T0 == nil {
		t.y = 16 // there are no T labels
	}
	t.phases()
	t.faults()
	t.probes()
	t.canaries()
	t.load()
	t.alerts()
	t.roles()
	bottom := t.y
	t.marks(bottom)
	t.axis(bottom)
	return t.picture(id, plotWidth, bottom+34, name, describe(r))
}

// describe says in a sentence what the picture shows; the tables below it hold every number.
func describe(r drills.Record) string {
	s := "Phases, faults, probes, canaries, load, alerts and roles over time. "
	for _, p := range r.Probes {
		s += p.Name + ": " + outagesText(p) + ". "
	}
	return s
}

// row labels the next row and moves on; it returns the row's top.
func (t *timeline) row(label string, height float64) float64 {
	top := t.y
	t.text("lab", gutter-8, top+height/2+3.6, fit(label, gutter-14))
	t.y += height + 5
	return top
}

// head starts a group of rows.
func (t *timeline) head(text string) {
	t.y += 5
	t.line("sep", 0, t.y-2.5, plotWidth, t.y-2.5)
	t.text("group halo", 0, t.y+8, text)
	t.y += 13
}

// bar draws what lasts from from to to, with its text inside where it fits, else beside.
func (t *timeline) bar(class string, top, height float64, from, to time.Time, text, hover string) {
	if !t.shows(from, to) {
		return
	}
	x, end := t.at(from), t.at(to)
	w := max(end-x, 2)
	t.rect(class, x, top, w, height, hover)
	need := float64(len([]rune(text))) * 5.8
	switch {
	case need < w-6:
		t.text("in "+class+"-t", x+4, top+height/2+3.6, text)
	case end+need+4 < plotWidth:
		t.text("beside", end+4, top+height/2+3.6, text)
	case x-gutter > need+4:
		t.text("beside end", x-4, top+height/2+3.6, text)
	}
}

func (t *timeline) phases() {
	top := t.row("phase", 16)
	class := "ph"
	for _, p := range t.r.Phases {
		if !t.shows(p.From, p.To) || !p.To.After(p.From) {
			continue
		}
		class = map[string]string{"ph": "ph2", "ph2": "ph"}[class]
		x, end := t.at(p.From), t.at(p.To)
		t.rect(class, x, top, end-x, 16, fmt.Sprintf("%s %s–%s", p.Phase, clock(p.From), clock(p.To)))
		t.text("in", x+4, top+11.6, fit(string(p.Phase), end-x-6))
	}
}

func (t *timeline) faults() {
	for _, f := range t.r.Faults {
		top := t.row(f.Change.Fault, 16)
		from, to := timeOf(t.r, f)
		class := "fault"
		if f.Effect == nil || !f.Effect.Proven {
			class = "unproven"
		}
		t.bar(class, top, 16, from, to, f.Change.Member, f.Change.Fault+" on "+f.Change.Member+": "+effectText(f)+"; "+undoText(f))
	}
}

// levels is how many rows of T labels there may be.
const levels = 4

func (t *timeline) marks(bottom float64) {
	s := t.r.Times
	var taken [levels][]float64 // where labels are, by level
	for _, m := range []struct {
		name string
		s    *drills.Stamp
	}{{"T0", s.T0}, {"T1", s.T1}, {"T4", s.T4}, {"T6", s.T6}, {"T2", s.T2}, {"T3", s.T3}, {"T5", s.T5}, {"T7", s.T7}, {"T8", s.T8}} {
		if m.s == nil || !t.shows(m.s.From, m.s.To) {
			continue
		}
		t.mark(m.name, m.s, bottom, &taken)
	}
}

func (t *timeline) mark(name string, s *drills.Stamp, bottom float64, taken *[levels][]float64) {
	x := t.at(s.Mid())
	level := 0
	for level < levels-1 && slices.ContainsFunc(taken[level], func(other float64) bool { return math.Abs(other-x) < 18 }) {
		level++
	}
	taken[level] = append(taken[level], x)
	y := top - 12 - 12*float64(level)
	t.line("mark", x, y+3, x, bottom)
	if w := t.at(s.To) - t.at(s.From); w > 1 {
		t.rect("bracket", t.at(s.From), top-8, w, bottom-top+8, name+" lies in "+between(s.Interval))
	}
	t.text("mt", x, y, name)
}

// axis writes seconds from T0 and, at the ends, the time of day.
func (t *timeline) axis(y float64) {
	t.line("ax", gutter, y, plotWidth-rightEdge, y)
	zero, zeroName := origin(t.r)
	step := niceStep(t.to.Sub(t.from), 9)
	first := t.from.Sub(zero).Truncate(step)
	for d := first; !zero.Add(d).After(t.to); d += step {
		if zero.Add(d).Before(t.from) {
			continue
		}
		x := t.at(zero.Add(d))
		t.line("ax", x, y, x, y+4)
		label := zeroName
		if d != 0 {
			label = fmt.Sprintf("%+g s", d.Seconds())
		}
		t.text("tick", x, y+14, label)
	}
	t.text("tick start", gutter, y+28, clock(t.from)+" UTC")
	t.text("tick end", plotWidth-rightEdge, y+28, clock(t.to)+" UTC")
}

// niceStep is a round step that gives at most n ticks.
func niceStep(span time.Duration, n int) time.Duration {
	for _, unit := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour} {
		for _, k := range []time.Duration{1, 2, 5} {
			if span/(unit*k) <= time.Duration(n) {
				return unit * k
			}
		}
	}
	return 12 * time.Hour
}
