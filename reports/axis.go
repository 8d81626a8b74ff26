package reports

import (
	"fmt"
	"html/template"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// hatch fills what is only possible: the instant lies somewhere in it. Hatching survives print in black and white.
const hatch = `<defs><pattern id="axis-hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">` +
	`<rect width="5" height="5" fill="#fff"/><line x1="0" y1="0" x2="0" y2="5" stroke="#1a1f24" stroke-width="1.6"/></pattern></defs>` + "\n"

// axisPicture is the outage on one axis: what users had, what Prometheus had, what people were told, who was primary, and
// the parts of the recovery. It ends when the service was stable and people knew; what came later is said below it.
func axisPicture(r drills.Record) template.HTML {
	if r.Axis == nil || len(r.Axis.Legs) == 0 {
		return ""
	}
	from, to := axisWindow(r)
	t := &timeline{scale: scale{from, to, gutter, plotWidth - gutter - rightEdge}, r: r, y: top}
	t.b.WriteString(hatch)
	t.usersLane()
	t.prometheusLane()
	t.peopleLane()
	t.failoverLane()
	t.legsLane()
	bottom := t.y
	t.marks(bottom)
	t.axis(bottom)
	height := bottom + 34
	if text := laterText(r, to); len(text) > 0 {
		height += 4
		for _, line := range append([]string{"Later, from T0:"}, text...) {
			t.text("start", gutter, height+10, fit(line, plotWidth-gutter-rightEdge))
			height += 14
		}
	}
	return t.picture("axis", plotWidth, height, "The outage in three views", "Users, Prometheus, people, roles and the parts of the recovery on one time axis. The tables below hold the same in numbers.")
}

// axisWindow reaches from before T0 to the end of the outage in every view, and to the first notification.
func axisWindow(r drills.Record) (from, to time.Time) {
	from, to = r.Times.T0.From, r.Times.T0.To
	reach := func(i *drills.Interval) {
		if i != nil && i.To.After(to) {
			to = i.To
		}
	}
	if r.Times.T6 != nil {
		reach(&r.Times.T6.Interval)
	}
	for _, v := range r.Views {
		switch v.Who {
		case "people":
			reach(v.Began)
		default:
			reach(v.Ended)
			reach(v.Began)
		}
	}
	margin := max(500*time.Millisecond, to.Sub(from)/10)
	return from.Add(-margin), to.Add(margin)
}

// possible draws an outage: hatched where it may have begun or ended, solid where it is certain.
func (t *timeline) possible(y, height float64, start, end *drills.Interval, text string) {
	a, b := drills.Interval{From: t.from, To: t.from}, drills.Interval{From: t.to, To: t.to}
	if start != nil {
		a = *start
	}
	if end != nil {
		b = *end
	}
	if !t.shows(a.From, b.To) {
		return
	}
	t.rect("maybe", t.at(a.From), y, max(1.5, t.at(b.To)-t.at(a.From)), height, text)
	if b.From.After(a.To) {
		t.rect("core", t.at(a.To), y, max(1.5, t.at(b.From)-t.at(a.To)), height, text)
	}
	if x := t.at(b.To) + 5; x+float64(len([]rune(text)))*5.6 < plotWidth {
		t.text("beside halo", x, y+height-3, text)
	}
}

func (t *timeline) usersLane() {
	d, s := drillOf(t.r), systemOf(t.r)
	t.head("Users: solid, certainly without service; hatched, its beginning or end lies there")
	for _, name := range drills.RecoveryProbes(&d, &s) {
		i := slices.IndexFunc(t.r.Probes, func(p drills.ProbeMeasured) bool { return p.Name == name })
		y := t.row(name, 14)
		t.line("ax", gutter, y+14, plotWidth-rightEdge, y+14)
		if i < 0 {
			t.text("beside", gutter+4, y+10, "not measured")
			continue
		}
		for _, o := range t.r.Probes[i].Outages {
			text := "no end seen"
			if o.End != nil {
				text = o.End.Since(o.Start).String()
			}
			t.possible(y, 14, &o.Start, o.End, text)
		}
	}
}

func (t *timeline) prometheusLane() {
	t.head("Prometheus: one square a value, filled is down, outlined is up, none is no value")
	i := slices.IndexFunc(t.r.Prometheus, func(v drills.PromView) bool { return v.Component == drillOf(t.r).Component })
	if i < 0 || t.r.Prometheus[i].Error != "" {
		y := t.row("service", 14)
		t.text("beside", gutter+4, y+10, "not measured")
		return
	}
	v := t.r.Prometheus[i]
	y := t.row("service", 26)
	for _, o := range v.Outages {
		text := "no end seen"
		if o.End != nil && o.Start != nil {
			text = o.End.Since(*o.Start).String()
		}
		t.possible(y, 13, o.Start, o.End, text)
	}
	t.squares(v.Seen, v.States, y+16)
	if v.Exporters != "" {
		t.squares(v.Seen, v.Exporters, t.row("its exporter", 12)+2)
	}
}

// squares draws the value of every step at its instant.
func (t *timeline) squares(s drills.Seen, states string, y float64) {
	for i, c := range states {
		at := s.From.Add(time.Duration(i) * s.Step.D())
		class, ok := map[rune]string{drills.SeenUp: "sq-up", drills.SeenDown: "sq-down"}[c]
		if !ok || at.Before(t.from) || at.After(t.to) {
			continue
		}
		t.rect(class, t.at(at)-3.5, y, 7, 7, map[string]string{"sq-up": "up", "sq-down": "down"}[class]+" at "+clock(at))
	}
}

func (t *timeline) peopleLane() {
	t.head("People: outline pending, solid firing, ▲ notified")
	shown := slices.DeleteFunc(slices.Clone(t.r.Alerts), func(a drills.AlertLife) bool {
		return a.Firing == nil && !a.Expected || a.Firing != nil && !t.shows(a.Firing.From, a.Firing.To)
	})
	for _, a := range shown {
		y := t.row(a.Name, 14)
		t.alert(a, y)
		if a.Notified != nil && t.shows(a.Notified.From, a.Notified.To) {
			t.text("beside end halo", t.at(a.Notified.Mid())-8, y+10, "notified "+after(t.r, *a.Notified))
		}
	}
	if len(shown) == 0 {
		text := "nobody was told"
		if i := slices.IndexFunc(t.r.Views, func(v drills.OutageView) bool { return v.Who == "people" }); i >= 0 && t.r.Views[i].Known == drills.Unmeasured {
			text = "not measured"
		}
		t.text("beside", gutter+4, t.row("alerts", 14)+10, text)
	}
}

func (t *timeline) failoverLane() {
	c := drillOf(t.r).Component
	if !slices.ContainsFunc(roleViews(t.r), func(v drills.RoleView) bool { return v.Component == c }) {
		return
	}
	t.head("Failover: who was primary, as seen")
	t.roleRow(c)
}

// legsLane draws the parts of the recovery, numbered as in the table below.
func (t *timeline) legsLane() {
	t.head("Parts of the recovery, numbered as in the table")
	at := map[string]time.Time{}
	for _, m := range t.r.Axis.Milestones {
		if m.At != nil {
			at[m.Name] = m.At.Mid()
		}
	}
	y := t.row("parts", 18)
	for i, l := range t.r.Axis.Legs {
		from, to := at[l.From], at[l.To]
		if from.After(t.to) || !to.After(from) {
			continue
		}
		x, end := t.at(from), t.at(to)
		t.rect([...]string{"leg1", "leg2"}[i%2], x, y, max(2, end-x), 18, l.From+" to "+l.To+": "+l.Lasted.String())
		label := fmt.Sprint(i + 1)
		if share := shareText(l.Share); share != "" && end-x > 120 {
			label += ": " + share
		}
		if end-x > 9 {
			t.text("mid", (x+end)/2, y+12.6, label)
		}
	}
}

// laterText names the milestones after the picture.
func laterText(r drills.Record, to time.Time) []string {
	var out []string
	add := func(m drills.Milestone) {
		if m.At != nil && m.At.Mid().After(to) {
			out = append(out, m.Name+" "+after(r, *m.At))
		}
	}
	for _, m := range r.Axis.Milestones {
		add(m)
	}
	for _, v := range r.Views {
		for _, m := range v.Steps[min(3, len(v.Steps)):] {
			add(m)
		}
	}
	return out
}
