package monitor

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/eevans-d/simulacro/drills"
)

// seen asks, for every component that declares it, what Prometheus had to say of it through the run. A question that
// fails is in the answer; it is never an error of the run.
func (m *Monitor) seen(ctx context.Context, w drills.Interval) []drills.Event {
	if len(m.cfg.SeenBy) == 0 || m.prom == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*queryTimeout)
	defer cancel()
	w.From = w.From.UTC().Truncate(time.Millisecond) // Prometheus counts in milliseconds
	ts, err := m.prom.targets(ctx)
	var out []drills.Event
	for _, name := range slices.Sorted(maps.Keys(m.cfg.SeenBy)) {
		by := m.cfg.SeenBy[name]
		s := drills.Seen{Component: name, Service: by.Service, Exporter: by.Exporter, From: w.From}
		if err == nil {
			m.look(ctx, &s, w, ts)
		} else {
			s.Error = err.Error()
		}
		out = append(out, drills.Event{At: time.Now().UTC(), Kind: drills.EvSeen, Seen: &s})
	}
	return out
}

// look fills in the resolution and the states.
func (m *Monitor) look(ctx context.Context, s *drills.Seen, w drills.Interval, ts []target) {
	behind, how := m.targetsBehind(ctx, s.Service, w, ts)
	lo, hi := scrapes(behind)
	if lo == 0 {
		lo, hi = assumedScrape, assumedScrape
		how = fmt.Sprintf("scrape interval not known, %s assumed", assumedScrape)
	} else {
		how = fmt.Sprintf("scraped every %s (%s)", hi, how)
	}
	step := stepOver(w, lo)
	s.Step, s.Scrape, s.Range, s.Late, s.How = drills.Duration(step), drills.Duration(hi), drills.Duration(rangeOf(s.Service)), drills.Duration(timeoutOf(behind, hi)), how
	steps := int(w.To.Sub(w.From)/step) + 1
	states, err := m.states(ctx, s.Service, w, step, steps)
	if err != nil {
		s.Error = err.Error()
		return
	}
	s.States = m.masked(states, w.From, step)
	if s.Exporter == "" {
		return
	}
	if s.Exporters, err = m.states(ctx, s.Exporter, w, step, steps); err != nil {
		s.Exporters, s.How = "", s.How+"; the exporter could not be asked: "+err.Error()
		return
	}
	s.Exporters = m.masked(s.Exporters, w.From, step)
}

// masked silences the steps at which Prometheus did not answer: for them it repeats its last sample, for minutes, and would
// seem to have seen what it slept through.
func (m *Monitor) masked(states string, from time.Time, step time.Duration) string {
	if m.watch == nil {
		return states
	}
	out := []byte(states)
	for _, b := range m.watch.dark.times {
		if b.To.Sub(b.From) <= requestTimeout+m.watch.poll {
			continue // one answer that was late
		}
		for i := range out {
			if at := from.Add(time.Duration(i) * step); !at.Before(b.From) && !at.After(b.To) {
				out[i] = drills.SeenSilent
			}
		}
	}
	return string(out)
}

// states evaluates a query at every step. Of several series the lowest counts: one that is down is down.
func (m *Monitor) states(ctx context.Context, q string, w drills.Interval, step time.Duration, steps int) (string, error) {
	matrix, err := m.matrix(ctx, q, drills.Interval{From: w.From, To: w.From.Add(time.Duration(steps-1) * step)}, step)
	if err != nil {
		return "", err
	}
	out := []byte(strings.Repeat(string(drills.SeenSilent), steps))
	for _, series := range matrix {
		for _, p := range series.Values {
			// Prometheus answers in milliseconds: round to the step it was asked for.
			i := int((p.Timestamp.Time().Sub(w.From) + step/2) / step)
			if i < 0 || i >= steps || p.Value != p.Value { // NaN says nothing
				continue
			}
			switch {
			case p.Value < 1:
				out[i] = drills.SeenDown
			case out[i] == drills.SeenSilent:
				out[i] = drills.SeenUp
			}
		}
	}
	return string(out), nil
}

var (
	selectorPattern = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*(\{(?:[^}"']|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')*\})?`)
	quotedPattern   = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'`)
	rangePattern    = regexp.MustCompile(`\[([0-9a-z]+)[\]:]`)
)

// targetsBehind are the scrape targets whose series a query stands on; all of them where none is found. Which words of the
// query are metrics is asked of Prometheus, not guessed: a word that has no series is none.
func (m *Monitor) targetsBehind(ctx context.Context, q string, w drills.Interval, ts []target) ([]target, string) {
	var out []target
	for _, sel := range selectors(q) {
		sets, _, _, err := m.prom.api.Series(ctx, []string{sel}, w.From, w.To)
		if err != nil {
			continue // a word such as `by` that cannot be a selector
		}
		for _, t := range ts {
			if !slices.ContainsFunc(out, func(o target) bool { return o.ScrapeURL == t.ScrapeURL }) && slices.ContainsFunc(sets, t.isOf) {
				out = append(out, t)
			}
		}
	}
	if len(out) == 0 {
		return ts, fmt.Sprintf("all %d targets, since those behind the query are not known", len(ts))
	}
	return out, fmt.Sprintf("%d targets behind it", len(out))
}

func (t target) isOf(set model.LabelSet) bool {
	return t.Labels["job"] == string(set[model.JobLabel]) && t.Labels["instance"] == string(set[model.InstanceLabel])
}

// selectors are the words of a query that may be metrics, with their matchers.
func selectors(q string) []string {
	// What stands in quotes may hold braces and words; only matchers keep it.
	var out []string
	quoted := quotedPattern.FindAllStringIndex(q, -1)
	for _, at := range selectorPattern.FindAllStringIndex(q, -1) {
		if slices.ContainsFunc(quoted, func(x []int) bool { return at[0] > x[0] && at[0] < x[1] }) {
			continue
		}
		if word := q[at[0]:at[1]]; !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}

// rangeOf is the longest range in a query: [1m], [5m:10s].
func rangeOf(q string) time.Duration {
	var longest time.Duration
	for _, m := range rangePattern.FindAllStringSubmatch(q, -1) {
		if d, err := model.ParseDuration(m[1]); err == nil {
			longest = max(longest, time.Duration(d))
		}
	}
	return longest
}

// timeoutOf is the longest scrape timeout; Prometheus allows none above the interval.
func timeoutOf(ts []target, interval time.Duration) time.Duration {
	var longest time.Duration
	for _, t := range ts {
		longest = max(longest, time.Duration(t.ScrapeTimeout))
	}
	if longest == 0 {
		return interval
	}
	return longest
}
