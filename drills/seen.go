package drills

import (
	"strings"
	"time"
)

// SeenBy is how Prometheus sees a component: which of its numbers mean that users are served, and which that what reports
// about the component answers at all. Both are PromQL; 1 or more is up, less is down, no sample says nothing.
type SeenBy struct {
	Service  string `json:"service" yaml:"service"`
	Exporter string `json:"exporter,omitempty" yaml:"exporter"`
}

// The states of one step of Seen.
const (
	SeenUp     = 'u'
	SeenDown   = 'd'
	SeenSilent = '-' // no sample: nothing was said
)

// Seen is what Prometheus said of one component, step by step through the run. It is evidence as it was read: what follows
// from it is derived by Fold.
type Seen struct {
	Component string    `json:"component"`
	Service   string    `json:"service"`            // PromQL
	Exporter  string    `json:"exporter,omitempty"` // PromQL
	From      time.Time `json:"from"`               // of the first step
	Step      Duration  `json:"step"`
	Scrape    Duration  `json:"scrape"` // longest scrape interval of the series behind Service: how old a value may be
	Range     Duration  `json:"range"`  // longest range in Service, such as the 1m of rate(x[1m]); 0: none
	Late      Duration  `json:"late"`   // scrape timeout: how long after its time stamp a value may have been read
	States    string    `json:"states,omitempty"`
	Exporters string    `json:"exporters,omitempty"` // of the same steps; empty where no exporter is declared
	How       string    `json:"how,omitempty"`       // how the resolution is known
	Error     string    `json:"error,omitempty"`     // nothing could be read
}

// Resolution is the longest outage that Prometheus can miss, and by how much the ends of one that it sees are uncertain.
func (s Seen) Resolution() Duration { return s.Scrape + s.Range + s.Step + s.Late }

func (s Seen) at(i int) time.Time { return s.From.Add(time.Duration(i) * s.Step.D()) }

// to is the time of the last step.
func (s Seen) to() time.Time { return s.at(len(s.States) - 1) }

// since bounds a change of state that lies between the steps before and after: the value at a step was read from the
// component at most Range + Scrape before it, and no later than Late after it.
func (s Seen) since(before, after int) Interval {
	return Interval{From: s.at(before).Add(-(s.Scrape + s.Range).D()), To: s.at(after).Add(s.Late.D())}
}

// SeenOutage is one outage as Prometheus has it: the true start lies in Start, the true end in End. Nil where the run's
// window does not show it.
type SeenOutage struct {
	Start *Interval `json:"start,omitempty"`
	End   *Interval `json:"end,omitempty"`
	Steps int       `json:"steps"`
	// Of these steps, what the exporter was meanwhile.
	ExporterUp   int `json:"exporter_up,omitempty"`
	ExporterDown int `json:"exporter_down,omitempty"`
}

// Outages derives the outages from the states. Steps without a sample neither end an outage nor make one; they widen its ends.
func (s Seen) Outages() []SeenOutage {
	var out []SeenOutage
	lastUp, lastDown, open := -1, -1, false
	for i, c := range s.States {
		switch c {
		case SeenDown:
			if !open {
				o := SeenOutage{}
				if lastUp >= 0 {
					at := s.since(lastUp, i)
					o.Start = &at
				}
				out, open = append(out, o), true
			}
			s.count(&out[len(out)-1], i)
			lastDown = i
		case SeenUp:
			if open {
				at := s.since(lastDown, i)
				out[len(out)-1].End, open = &at, false
			}
			lastUp = i
		}
	}
	return out
}

func (s Seen) count(o *SeenOutage, i int) {
	o.Steps++
	if i >= len(s.Exporters) {
		return
	}
	switch s.Exporters[i] {
	case SeenUp:
		o.ExporterUp++
	case SeenDown:
		o.ExporterDown++
	}
}

// Silent tells how many steps say nothing.
func (s Seen) Silent() int { return strings.Count(s.States, string(SeenSilent)) }

// hull is the time that an outage can at most have taken: open ends reach to the ends of what was read.
func (s Seen) hull(o SeenOutage) Interval {
	h := Interval{From: s.From, To: s.to()}
	if o.Start != nil {
		h.From = o.Start.From
	}
	if o.End != nil {
		h.To = o.End.To
	}
	return h
}

// silentIn tells whether nothing at all was said in an interval.
func (s Seen) silentIn(w Interval) bool {
	steps := 0
	for i, c := range s.States {
		if at := s.at(i); at.Before(w.From) || at.Add(-s.Scrape.D()).After(w.To) {
			continue
		}
		if c != SeenSilent {
			return false
		}
		steps++
	}
	return steps > 0 || len(s.States) == 0
}
