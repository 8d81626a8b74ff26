package drills

import (
	"fmt"
	"strings"
)

// Agreement is how Prometheus' view of an outage stands to the users'.
type Agreement string

// The agreements. All but Agrees and TooShort are findings about the monitoring.
const (
	Agrees     Agreement = "agrees"                // both ends lie where the users saw them, within its resolution
	SeenLate   Agreement = "begins late"           // it noticed the beginning later than its resolution explains
	SeenEarly  Agreement = "begins early"          //
	SeenLong   Agreement = "ends late"             // it went on claiming an outage that was over for users
	SeenBrief  Agreement = "ends early"            // it called the outage over while users still had it
	SeenMissed Agreement = "missed"                // users had an outage that it could have seen, and it said up throughout
	TooShort   Agreement = "too short for it"      // the outage was shorter than its resolution
	SeenNoData Agreement = "no data"               // it said nothing at all meanwhile
	Unfelt     Agreement = "no user saw it"        // it claims an outage that no probe saw
	NotTheirs  Agreement = "exporter, not service" // as Unfelt, but its exporter was down: that is what it saw
)

// Compared is one outage in both views.
type Compared struct {
	Agreement  Agreement   `json:"agreement"`
	Users      *UserOutage `json:"users,omitempty"`
	Prometheus *SeenOutage `json:"prometheus,omitempty"`
	// Began and Ended are how much later than the users Prometheus had the beginning and the end; negative: earlier.
	Began *Span  `json:"began,omitempty"`
	Ended *Span  `json:"ended,omitempty"`
	Text  string `json:"text"`
}

// PromView is one component as Prometheus saw it, compared with what its users saw.
type PromView struct {
	Seen
	Outages    []SeenOutage `json:"outages,omitempty"`
	Silent     int          `json:"silent,omitempty"` // steps without a sample
	Resolution Duration     `json:"resolution"`
	Compared   []Compared   `json:"compared,omitempty"`
}

// promViews derives every component's view. Users' outages are those of the probes that mean "recovered" for it.
func (f *folder) promViews() []PromView {
	var out []PromView
	for _, s := range f.seen {
		v := PromView{Seen: s, Outages: s.Outages(), Silent: s.Silent(), Resolution: s.Resolution()}
		if s.Error == "" && len(s.States) > 0 {
			v.Compared = s.compare(f.probesOf(s.Component), v.Outages)
		}
		out = append(out, v)
	}
	return out
}

// compare pairs outages that overlap within what both leave open. Users' outages outside what was read are left out.
func (s Seen) compare(probes []ProbeMeasured, outages []SeenOutage) []Compared {
	if len(probes) == 0 {
		return nil // nobody says what users saw
	}
	var out []Compared
	used := make([]bool, len(outages))
	last := lastSample(probes)
	for _, u := range userOutages(probes, s.From) {
		hull := Interval{From: u.Start.From, To: last}
		if u.End != nil {
			hull.To = u.End.To
		}
		var match *SeenOutage
		for i, o := range outages {
			h := s.hull(o)
			if h.From.After(hull.To) || h.To.Before(hull.From) {
				continue
			}
			if used[i] = true; match == nil {
				match = &SeenOutage{Start: o.Start}
			}
			match.End = o.End
			match.Steps, match.ExporterUp, match.ExporterDown = match.Steps+o.Steps, match.ExporterUp+o.ExporterUp, match.ExporterDown+o.ExporterDown
		}
		out = append(out, s.pair(u, match, hull))
	}
	for i, o := range outages {
		if !used[i] {
			out = append(out, s.unfelt(o))
		}
	}
	return out
}

func (s Seen) pair(u UserOutage, o *SeenOutage, hull Interval) Compared {
	c := Compared{Users: &u, Prometheus: o}
	lasted := u.lasted()
	switch {
	case o != nil:
		s.ends(&c)
	case s.silentIn(hull):
		c.Agreement, c.Text = SeenNoData, fmt.Sprintf("it had no data while users were without service for %s", lasted)
	case lasted.Lo < s.Resolution():
		c.Agreement, c.Text = TooShort, fmt.Sprintf("it did not see an outage of %s; it can miss one of up to %s", lasted, s.Resolution())
	default:
		c.Agreement, c.Text = SeenMissed, fmt.Sprintf("it said up while users were without service for %s, longer than its resolution of %s", lasted, s.Resolution())
	}
	return c
}

// ends compares both ends of an outage that both saw. An end that only one of them saw lies, for the other, before or after
// all that it was asked.
func (s Seen) ends(c *Compared) {
	u, o := c.Users, c.Prometheus
	switch {
	case o.Start != nil:
		c.Began = later(*o.Start, u.Start)
	case u.Start.From.After(s.From): // it was down when it was first asked
		c.Began = later(At(s.From), u.Start)
	}
	switch {
	case o.End != nil && u.End != nil:
		c.Ended = later(*o.End, *u.End)
	case o.End == nil && u.End != nil:
		c.Ended = later(Interval{From: s.to().Add(-(s.Scrape + s.Range).D()), To: s.to()}, *u.End)
	case o.End != nil:
		c.Ended = later(*o.End, *u.Until)
	}
	c.Agreement = Agrees
	var text []string
	for _, x := range []struct {
		by          *Span
		late, early Agreement
		what        string
	}{{c.Ended, SeenLong, SeenBrief, "the end"}, {c.Began, SeenLate, SeenEarly, "the beginning"}} {
		switch {
		case x.by == nil:
			text = append(text, x.what+" was not seen by both")
		case x.by.Lo > 0:
			c.Agreement = x.late
			text = append(text, fmt.Sprintf("it had %s %s later than the users", x.what, *x.by))
		case x.by.Hi < 0:
			c.Agreement = x.early
			text = append(text, fmt.Sprintf("it had %s %s earlier than the users", x.what, Span{Lo: -x.by.Hi, Hi: -x.by.Lo}))
		default:
			text = append(text, x.what+" agrees")
		}
	}
	if o.ExporterDown > 0 {
		text = append(text, fmt.Sprintf("the exporter itself was down in %d of %d steps", o.ExporterDown, o.Steps))
	}
	c.Text = strings.Join(text, "; ")
}

// unfelt is an outage that Prometheus claims and no probe saw.
func (s Seen) unfelt(o SeenOutage) Compared {
	c := Compared{Agreement: Unfelt, Prometheus: &o, Text: "it claims an outage that no user saw"}
	if o.Start != nil && o.End != nil {
		c.Text += fmt.Sprintf(", of %s", o.End.Since(*o.Start))
	}
	if o.ExporterUp == 0 && o.ExporterDown > 0 {
		c.Agreement, c.Text = NotTheirs, c.Text+": its exporter was down, not the service"
	}
	return c
}

// later is by how much a is later than b, with sign.
func later(a, b Interval) *Span {
	return &Span{Lo: Duration(a.From.Sub(b.To)), Hi: Duration(a.To.Sub(b.From))}
}

// viewFindings: every disagreement is a finding about the monitoring.
func (f *folder) viewFindings() {
	for _, v := range f.rec.Prometheus {
		if v.Error != "" {
			f.find("view-error:"+v.Component, SeverityWarning, "Prometheus could not be asked how it saw "+v.Component, v.Error)
			continue
		}
		if v.Silent == len(v.States) {
			f.find("view-no-data:"+v.Component, SeverityWarning, "Prometheus never had a value for what should say whether "+v.Component+" serves", v.Service)
			continue
		}
		for _, c := range v.Compared {
			if c.Agreement == Agrees {
				continue
			}
			severity := SeverityWarning
			if c.Agreement == TooShort {
				severity = SeverityInfo
			}
			f.find("view:"+v.Component, severity, fmt.Sprintf("Prometheus and the users disagree about %s (%s): %s", v.Component, c.Agreement, c.Text), v.Service+"; "+v.How)
		}
	}
}

func (f *folder) find(id, severity, title, detail string) {
	f.rec.Findings = append(f.rec.Findings, Finding{ID: id, Severity: severity, Title: title, Detail: detail})
}
