package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// set is one choice of durations. The rules themselves are the same in every set.
type set struct {
	Name         string
	Scrape       time.Duration            // interval of every job not in ScrapeOf
	ScrapeOf     map[string]time.Duration // by job
	Evaluate     time.Duration            // of the rule groups
	Window       time.Duration            // of rate()
	For          func(rule) time.Duration
	KeepFiring   time.Duration            // past a scrape that failed on a busy machine; 0 is none
	GroupWait    map[string]time.Duration // by severity; "" is the default route
	GroupEvery   time.Duration
	RepeatEvery  map[string]time.Duration // by severity
	ResolveAfter time.Duration
}

const seldom = 5 * time.Second // in the fast set, for what no drill is timed by

func sets() []set {
	return []set{
		{
			Name: "blueprint", Scrape: 15 * time.Second, ScrapeOf: map[string]time.Duration{"api": 10 * time.Second},
			Evaluate: 30 * time.Second, Window: 5 * time.Minute, For: func(r rule) time.Duration { return r.Blueprint },
			GroupWait: map[string]time.Duration{"": 10 * time.Second, critical: 0, warning: 30 * time.Second}, GroupEvery: 5 * time.Minute,
			RepeatEvery: map[string]time.Duration{"": 4 * time.Hour, critical: time.Hour, warning: 4 * time.Hour}, ResolveAfter: 5 * time.Minute,
		},
		// 2 s, because a busy machine answers late and the postgres exporter waits 1 s before it calls its member down.
		{
			Name: "fast", Scrape: 2 * time.Second, ScrapeOf: map[string]time.Duration{"redis": time.Second, "node": seldom, "prometheus": seldom, "alertmanager": seldom}, KeepFiring: 3 * time.Second,
			Evaluate: time.Second, Window: 10 * time.Second, For: func(r rule) time.Duration { return r.Fast },
			GroupWait: map[string]time.Duration{}, GroupEvery: time.Second,
			RepeatEvery: map[string]time.Duration{"": time.Hour, critical: time.Hour, warning: time.Hour}, ResolveAfter: 5 * time.Minute,
		},
	}
}

func setNamed(name string) (set, error) {
	var known []string
	for _, s := range sets() {
		if s.Name == name {
			return s, nil
		}
		known = append(known, s.Name)
	}
	return set{}, fmt.Errorf("no rule set %q; there are %s", name, strings.Join(known, " and "))
}

func (s set) scrapeOf(job string) time.Duration {
	if d, ok := s.ScrapeOf[job]; ok {
		return d
	}
	return s.Scrape
}

// timeoutOf is the scrape timeout: a little under the interval, at most Prometheus' own 10 s.
func (s set) timeoutOf(job string) time.Duration {
	return min(10*time.Second, s.scrapeOf(job)-100*time.Millisecond)
}

// window fills the set's rate window into an expression.
func (s set) window(expr string) string {
	return strings.ReplaceAll(expr, "$window", promDuration(s.Window))
}

// promDuration writes a duration as Prometheus reads it: no fractions, no "1m0s".
func promDuration(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d%u.unit == 0 {
			return fmt.Sprintf("%d%s", d/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%dms", d/time.Millisecond)
}

func alertNames(rules []rule) []string {
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.Name
	}
	slices.Sort(names)
	return names
}
