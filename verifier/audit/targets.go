package audit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

func itoa(n int) string { return strconv.Itoa(n) }

// targets compares the scrape jobs that are declared with what Prometheus scrapes. Jobs that nobody declared only have to be up.
func (a *audit) targets() {
	by := map[string][]drills.ScrapeTarget{}
	for _, t := range a.Facts.Targets {
		by[t.Job] = append(by[t.Job], t)
	}
	declared := a.System.Monitoring.Jobs
	for _, job := range sorted(declared) {
		a.job(job, declared[job], by[job])
	}
	for _, job := range sorted(by) {
		if _, ok := declared[job]; !ok {
			a.job(job, drills.ScrapeJob{}, by[job])
		}
	}
}

func (a *audit) job(name string, want drills.ScrapeJob, ts []drills.ScrapeTarget) {
	d := drills.Diagnosis{What: "scrape job " + name, Level: drills.LevelOK, Topic: drills.TopicSources}
	if len(ts) == 0 {
		a.noJob(d, want)
		return
	}
	var down []string
	for _, t := range ts {
		if !t.Up {
			down = append(down, t.Instance+" ("+t.Error+")")
		}
	}
	d.Found = fmt.Sprintf("%d of %d up", len(ts)-len(down), len(ts))
	switch {
	case len(down) > 0:
		d.Level, d.Found = drills.LevelProblem, d.Found+"; down: "+strings.Join(down, ", ")
		d.Why, d.Mend = "what is not scraped is not known, and rules on it are silent", "bring the exporter back, or take the target out of the configuration"
	case len(ts) < max(want.Targets, 1):
		d.Level, d.Found = drills.LevelProblem, fmt.Sprintf("%s, declared are %d", plural(len(ts), "target"), want.Targets)
		d.Why, d.Mend = "a member that is not scraped cannot be missed by anybody", "add it to scrape_configs"
	}
	a.add(d)
	a.scrape(name, want, ts)
}

func (a *audit) noJob(d drills.Diagnosis, want drills.ScrapeJob) {
	d.Level, d.Found = drills.LevelProblem, "Prometheus has no such job"
	d.Why, d.Mend = "nothing of it is recorded; only our own probes see it", "add the job to scrape_configs, or say why not: monitoring.jobs: absent:"
	if want.Absent != "" {
		d.Level, d.Found, d.Mend = drills.LevelWarning, "a declared gap: "+want.Absent, ""
	}
	a.add(d)
}

// scrape compares interval and labels.
func (a *audit) scrape(name string, want drills.ScrapeJob, ts []drills.ScrapeTarget) {
	d := drills.Diagnosis{What: "scrape job " + name + ": interval and labels", Level: drills.LevelOK, Topic: drills.TopicScrape, Found: "every " + ts[0].Interval.String()}
	var wrong []string
	for _, t := range ts {
		if want.Interval > 0 && t.Interval != want.Interval.D() {
			wrong = append(wrong, fmt.Sprintf("%s every %s, declared is %s", t.Instance, t.Interval, want.Interval.D()))
		}
		for _, k := range sorted(want.Labels) {
			if t.Labels[k] != want.Labels[k] {
				wrong = append(wrong, fmt.Sprintf("%s has %s=%q, declared is %q", t.Instance, k, t.Labels[k], want.Labels[k]))
			}
		}
	}
	if len(wrong) > 0 {
		d.Level, d.Found = drills.LevelWarning, strings.Join(wrong, "; ")
		d.Why = "alerts and dashboards that count on it come late or select nothing"
		d.Mend = "set scrape_interval and labels of the job, or correct monitoring.jobs"
	}
	a.add(d)
}

// labels looks for labels that make one series per person, and at how many series there are.
func (a *audit) labels() {
	r := a.System.Monitoring.Labels
	if r == nil {
		r = &drills.LabelRules{Forbidden: []string{"user", "user_id", "session", "session_id"}}
	}
	d := drills.Diagnosis{What: "labels", Level: drills.LevelOK, Topic: drills.TopicCardinality, Found: fmt.Sprintf("%d names in use, none of them forbidden", len(a.Facts.Labels))}
	var bad, other []string
	for _, l := range a.Facts.Labels {
		switch {
		case slices.Contains(r.Forbidden, l):
			bad = append(bad, l)
		case len(r.Allowed) > 0 && !slices.Contains(r.Allowed, l) && !strings.HasPrefix(l, "__"):
			other = append(other, l)
		}
	}
	switch {
	case len(bad) > 0:
		d.Level, d.Found = drills.LevelProblem, "forbidden: "+strings.Join(bad, ", ")
		d.Why, d.Mend = "a label with a value per person or session makes series without end, and puts people into metrics", "drop it by metric_relabel_configs, or at its source"
	case len(other) > 0:
		d.Level, d.Found = drills.LevelWarning, "not among the allowed ones: "+strings.Join(other, ", ")
		d.Why, d.Mend = "each further label multiplies series", "allow it in monitoring.labels, or drop it"
	}
	a.add(d)
	a.series(r.MaxSeries)
}

func (a *audit) series(most int) {
	d := drills.Diagnosis{What: "series", Level: drills.LevelOK, Topic: drills.TopicCardinality}
	d.Found = fmt.Sprintf("%d active", a.Facts.Series)
	var names []string
	for _, n := range sorted(a.Facts.Biggest) {
		names = append(names, fmt.Sprintf("%s %d", n, a.Facts.Biggest[n]))
	}
	if len(names) > 0 {
		d.Found += "; the largest: " + strings.Join(names, ", ")
	}
	if most > 0 && a.Facts.Series > most {
		d.Level = drills.LevelWarning
		d.Why, d.Mend = fmt.Sprintf("declared are at most %d", most), "look at the largest metric first"
	}
	a.add(d)
}
