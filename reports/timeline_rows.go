package reports

import (
	"fmt"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

func (t *timeline) probes() {
	if len(t.r.Probes) == 0 {
		return
	}
	t.head("Probes: low and light is good, tall and dark is bad")
	for _, p := range t.r.Probes {
		top := t.row(p.Name, 18)
		t.strip(p.From, p.Cell, p.Strip, top, probeCell)
		for i, o := range p.Outages {
			room := plotWidth
			if i+1 < len(p.Outages) {
				room = t.at(p.Outages[i+1].Start.To)
			}
			t.outage(p, o, top, room)
		}
	}
}

// outage writes an outage's length beside it, where there is room up to what comes next. What lies before T0 is the
// steady state's matter.
func (t *timeline) outage(p drills.ProbeMeasured, o drills.Outage, top, room float64) {
	if t0 := t.r.Times.T0; t0 != nil && o.Start.To.Before(t0.From) {
		return
	}
	end, text := p.To, "no end seen"
	if o.End != nil {
		end, text = o.End.To, fmt.Sprintf("≤ %.2f s", o.End.Since(o.Start).Hi.D().Seconds())
	}
	if p.Cell > 0 { // the strip shows whole cells
		end = p.From.Add((end.Sub(p.From) + p.Cell.D() - 1).Truncate(p.Cell.D()))
	}
	if t.shows(o.Start.To, end) && t.at(end)+50 < room {
		t.text("beside halo", t.at(end)+4, top+10, text)
	}
}

func (t *timeline) canaries() {
	if len(t.r.Canaries) == 0 {
		return
	}
	t.head("Canary writes: acknowledged low, not acknowledged tall, acknowledged and lost black")
	for _, c := range t.r.Canaries {
		top := t.row(c.Name, 18)
		t.strip(c.From, c.Cell, c.Strip, top, canaryCell)
	}
}

// cell is how one bucket looks: class and height share.
type cell struct {
	class  string
	height float64
}

func probeCell(b drills.Bucket) cell {
	switch all := b.Good + b.Bad; {
	case b.Bad > 0:
		return cell{"bad", 0.45 + 0.55*float64(b.Bad)/float64(all)}
	case b.Ours > 0:
		return cell{"ours", 0.7}
	case b.Good > 0:
		return cell{"good", 0.35}
	}
	return cell{}
}

func canaryCell(b drills.Bucket) cell {
	switch {
	case b.Ours > 0:
		return cell{"lost", 1}
	case b.Bad > 0:
		return cell{"bad", 0.45 + 0.55*float64(b.Bad)/float64(b.Good+b.Bad)}
	case b.Good > 0:
		return cell{"good", 0.35}
	}
	return cell{}
}

// strip draws buckets; neighbours that look alike become one shape, and cells narrower than a pixel are merged, the worst showing.
func (t *timeline) strip(from time.Time, width drills.Duration, buckets []drills.Bucket, top float64, look func(drills.Bucket) cell) {
	const height = 18
	var run cell
	start, end := 0.0, 0.0
	flush := func() {
		if run.class != "" {
			t.rect(run.class, start, top+height*(1-run.height), end-start, height*run.height, "")
		}
	}
	for _, g := range t.grouped(from, width, buckets) {
		c := look(g.bucket)
		if c != run || g.x > end+0.05 {
			flush()
			run, start = c, g.x
		}
		end = g.end
	}
	flush()
}

type drawnCell struct {
	bucket drills.Bucket
	x, end float64
}

func (t *timeline) grouped(from time.Time, width drills.Duration, buckets []drills.Bucket) []drawnCell {
	var out []drawnCell
	for i, b := range buckets {
		at := from.Add(time.Duration(i) * width.D())
		if width <= 0 || !t.shows(at, at.Add(width.D())) {
			continue
		}
		x, end := t.at(at), t.at(at.Add(width.D()))
		if n := len(out); n > 0 && end-out[n-1].x < 1.2 {
			last := &out[n-1]
			last.bucket.Good, last.bucket.Bad, last.bucket.Ours, last.end = last.bucket.Good+b.Good, last.bucket.Bad+b.Bad, last.bucket.Ours+b.Ours, end
			continue
		}
		out = append(out, drawnCell{b, x, end})
	}
	return out
}

func (t *timeline) load() {
	if len(t.r.Load) == 0 {
		return
	}
	t.head("Load")
	for _, m := range t.r.Load {
		t.curve(m.Step+": connections", m.Series, func(p drills.LoadPoint) float64 { return float64(p.Open) })
		t.curve(m.Step+": frames/s", m.Series, func(p drills.LoadPoint) float64 { return float64(p.Received) })
	}
}

// curve is one point a second as an area from zero; its largest value stands beside it.
func (t *timeline) curve(label string, points []drills.LoadPoint, value func(drills.LoadPoint) float64) {
	const height = 30
	top, most := t.row(label, height), 0.0
	for _, p := range points {
		most = max(most, value(p))
	}
	var d strings.Builder
	var x float64
	for _, p := range points {
		if most == 0 || !t.shows(p.At.Add(-time.Second), p.At.Add(time.Second)) {
			continue
		}
		x = t.at(p.At)
		if d.Len() == 0 {
			fmt.Fprintf(&d, "M%.1f %.1f", x, top+height)
		}
		fmt.Fprintf(&d, "L%.1f %.1f", x, top+height-(height-2)*value(p)/most)
	}
	if d.Len() == 0 {
		return
	}
	t.path("area", fmt.Sprintf("%sL%.1f %.1fZ", d.String(), x, top+height), fmt.Sprintf("%s, at most %.0f", label, most))
	t.text("beside halo", min(x+4, plotWidth-62), top+10, fmt.Sprintf("max %.0f", most))
}

func (t *timeline) alerts() {
	shown, _ := told(t.r)
	if len(shown) == 0 {
		return
	}
	t.head("Alerts: outline pending, solid firing, ▲ notified, ▼ told that it is over")
	for _, a := range shown {
		label := a.Name
		if !a.Expected {
			label = "! " + label
		}
		t.alert(a, t.row(label, 14))
	}
}

func (t *timeline) alert(a drills.AlertLife, top float64) {
	over := t.r.Ended
	if a.Resolved != nil {
		over = a.Resolved.Mid()
	}
	if a.Pending != nil {
		end := over
		if a.Firing != nil {
			end = a.Firing.Mid()
		}
		t.bar("pending", top+3, 8, a.Pending.Mid(), end, "", "pending from "+between(*a.Pending))
	}
	if a.Firing != nil {
		t.bar("firing", top+1, 12, a.Firing.Mid(), over, "", "firing from "+between(*a.Firing))
	}
	t.sign(a.Notified, top, "M%.1f %.1fl-5 10h10z", 2, "notified")
	t.sign(a.ResolvedNotified, top, "M%.1f %.1fl-5 -10h10z", 12, "told that it is over")
}

func (t *timeline) sign(at *drills.Interval, top float64, shape string, dy float64, what string) {
	if at != nil && t.shows(at.From, at.To) {
		t.path("sign", fmt.Sprintf(shape, t.at(at.Mid()), top+dy), what+" "+between(*at))
	}
}

// roles draws who was primary, per component that has primaries; two at once are drawn dark.
func (t *timeline) roles() {
	seen := map[string]bool{}
	for _, v := range roleViews(t.r) {
		if seen[v.Component] {
			continue
		}
		if len(seen) == 0 {
			t.head("Who was primary, as seen")
		}
		seen[v.Component] = true
		t.roleRow(v.Component)
	}
}

func (t *timeline) roleRow(component string) {
	top := t.row(component, 16)
	var views []drills.RoleView
	for _, v := range t.r.Roles {
		if v.Component == component {
			views = append(views, v)
		}
	}
	for i, v := range views {
		until := t.r.Ended
		if i+1 < len(views) {
			until = views[i+1].At
		}
		class := [...]string{"role", "role2"}[i%2]
		if len(v.Primaries) != 1 {
			class = "conflict"
		}
		t.bar(class, top, 16, v.At, until, fit(primaries(t.r, v), t.at(until)-t.at(v.At)-8), primaries(t.r, v)+" seen at "+clock(v.At))
	}
}

func primaries(r drills.Record, v drills.RoleView) string {
	var names []string
	for _, id := range v.Primaries {
		names = append(names, memberName(r, id))
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " + ")
}
