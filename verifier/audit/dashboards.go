package audit

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// dashboard is a Grafana dashboard as far as its queries go.
type dashboard struct {
	Title  string  `json:"title"`
	Panels []panel `json:"panels"`
}

type panel struct {
	Title   string  `json:"title"`
	Panels  []panel `json:"panels"` // of a row
	Targets []struct {
		Expr string `json:"expr"`
	} `json:"targets"`
}

// dashboards asks every query of every panel and returns the number of queries by the dashboard's title.
func (a *audit) dashboards() map[string]int {
	boards := map[string]int{}
	for _, file := range sorted(a.Dashboards) {
		d := drills.Diagnosis{What: "dashboard " + file, Level: drills.LevelOK, Topic: drills.TopicDashboards}
		var b dashboard
		if err := json.Unmarshal(a.Dashboards[file], &b); err != nil || b.Title == "" {
			d.Level, d.Found, d.Mend = drills.LevelProblem, "it is no dashboard: JSON with a title and panels", "export it from Grafana again"
			a.add(d)
			continue
		}
		queries, empty := a.ask(b.Panels)
		boards[b.Title] = queries
		d.What, d.Found = "dashboard "+b.Title, fmt.Sprintf("%d queries, all with data", queries)
		switch {
		case queries == 0:
			d.Level, d.Found = drills.LevelProblem, "it has no query"
		case len(empty) > 0:
			d.Level, d.Found = drills.LevelProblem, fmt.Sprintf("%d of %d queries have no data: %s", len(empty), queries, strings.Join(empty, ", "))
			d.Why, d.Mend = "an empty panel is taken for a quiet system", "correct the query, or have the metric exposed"
		}
		a.add(d)
	}
	return boards
}

// ask returns the number of queries and the panels whose query returns nothing or is refused.
func (a *audit) ask(panels []panel) (queries int, empty []string) {
	for _, p := range panels {
		n, e := a.ask(p.Panels)
		queries, empty = queries+n, append(empty, e...)
		for _, t := range p.Targets {
			if t.Expr == "" {
				continue
			}
			queries++
			vs, err := a.Ask(a.ctx, filled(t.Expr))
			switch {
			case err != nil:
				empty = append(empty, fmt.Sprintf("%s (%v)", p.Title, err))
			case len(vs) == 0:
				empty = append(empty, p.Title)
			}
		}
	}
	return queries, empty
}

// filled puts values in the place of Grafana's variables: a minute for intervals, anything for what a person would choose.
func filled(expr string) string {
	interval := regexp.MustCompile(`\$(__rate_interval|__interval|__range)\b|\$\{(__rate_interval|__interval|__range)\}`)
	chosen := regexp.MustCompile(`=\s*"\$\{?\w+(:\w+)?\}?"`)
	expr = interval.ReplaceAllString(expr, "1m")
	expr = regexp.MustCompile(`(=~)\s*"\$\{?\w+(:\w+)?\}?"`).ReplaceAllString(expr, `=~".+"`)
	return chosen.ReplaceAllString(expr, `=~".+"`)
}
