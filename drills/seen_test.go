package drills_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// scraped simulates Prometheus: a target of a service that is down in [down, up) is scraped every interval from phase on,
// each answer read up to late after its time stamp; some scrapes fail and leave no value. Every step of the range query has
// the newest sample at or before it, none when that scrape failed.
func scraped(r *rand.Rand, s drills.Seen, steps int, down, up time.Time) drills.Seen {
	phase := s.From.Add(-time.Duration(r.Int64N(int64(s.Scrape))) - 3*s.Scrape.D())
	type sample struct {
		at    time.Time
		state byte
	}
	var samples []sample
	for at := phase; at.Before(s.From.Add(time.Duration(steps+1) * s.Step.D())); at = at.Add(s.Scrape.D()) {
		read := at.Add(time.Duration(r.Int64N(int64(s.Late) + 1)))
		state := byte(drills.SeenUp)
		switch {
		case r.IntN(20) == 0:
			state = drills.SeenSilent
		case !read.Before(down) && read.Before(up):
			state = drills.SeenDown
		}
		samples = append(samples, sample{at, state})
	}
	var b strings.Builder
	for i := range steps {
		at, state := s.From.Add(time.Duration(i)*s.Step.D()), byte(drills.SeenSilent)
		for _, x := range samples {
			if !x.at.After(at) {
				state = x.state
			}
		}
		b.WriteByte(state)
	}
	s.States = b.String()
	return s
}

// TestSeenHoldsTheTruth: for any phase of the scrapes, any outage and any lateness, what Prometheus is said to have seen
// holds the true beginning and end; an outage longer than the resolution is never missed while there are samples.
func TestSeenHoldsTheTruth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	base := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	seen, missed := 0, 0
	for range 5000 {
		scrape := drills.Duration(time.Duration(1+r.IntN(30)) * 500 * time.Millisecond)
		s := drills.Seen{From: base, Scrape: scrape, Step: drills.Duration(int64(scrape)/(1+r.Int64N(3))) + 1, Late: drills.Duration(r.Int64N(int64(scrape)))}
		const steps = 60
		down := base.Add(time.Duration(r.Int64N(int64(40 * s.Step))))
		up := down.Add(time.Duration(r.Int64N(int64(15 * s.Step))))
		s = scraped(r, s, steps, down, up)
		all := s.Outages()
		if len(all) > 1 {
			t.Fatalf("one outage became %d: %s", len(all), s.States)
		}
		if len(all) == 0 {
			missed++
			if up.Sub(down) > s.Resolution().D() && !strings.ContainsRune(s.States, drills.SeenSilent) {
				t.Fatalf("an outage of %s was missed with a resolution of %s: %s", up.Sub(down), s.Resolution(), s.States)
			}
			continue
		}
		seen++
		o := all[0]
		if o.Start != nil && (down.Before(o.Start.From) || down.After(o.Start.To)) {
			t.Fatalf("the beginning %s is not in %s to %s: %s", down, o.Start.From, o.Start.To, s.States)
		}
		if o.End != nil && (up.Before(o.End.From) || up.After(o.End.To)) {
			t.Fatalf("the end %s is not in %s to %s: %s", up, o.End.From, o.End.To, s.States)
		}
	}
	if seen < 3000 || missed < 50 {
		t.Errorf("%d seen and %d missed: the property was hardly tried", seen, missed)
	}
}

func TestSeenOutages(t *testing.T) {
	for _, c := range []struct {
		name, states, exporters string
		outages, down           int
		begun, ended            bool
	}{
		{"never down", "uuuuuu", "", 0, 0, false, false},
		{"down from the first step on: its beginning is not known", "dduuuu", "", 1, 0, false, true},
		{"down to the last step: its end is not known", "uuuudd", "", 1, 0, true, false},
		{"silence is neither up nor down", "uu-d-d-uu", "", 1, 0, true, true},
		{"silence alone is no outage", "uu---uu", "", 0, 0, false, false},
		{"exporter down meanwhile", "uudddu", "uuudduu", 1, 2, true, true},
		{"nothing was read", "", "", 0, 0, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := drills.Seen{From: time.Unix(1e9, 0), Step: second, Scrape: second, States: c.states, Exporters: c.exporters}
			got := s.Outages()
			if len(got) != c.outages {
				t.Fatalf("%d outages, want %d", len(got), c.outages)
			}
			if c.outages > 0 && ((got[0].Start != nil) != c.begun || (got[0].End != nil) != c.ended || got[0].ExporterDown != c.down) {
				t.Errorf("%+v", got[0])
			}
		})
	}
}
