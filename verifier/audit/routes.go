package audit

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/eevans-d/simulacro/drills"
)

// routing looks at Alertmanager: who is told of what, and whom nobody is told by.
func (a *audit) routing() {
	if a.Facts.AlertmanagerYAML == "" {
		return
	}
	var cfg amConfig
	if err := yaml.Unmarshal([]byte(a.Facts.AlertmanagerYAML), &cfg); err != nil {
		a.add(drills.Diagnosis{What: "Alertmanager's configuration", Level: drills.LevelNotChecked, Found: "it could not be read: " + err.Error(), Topic: drills.TopicAlerts})
		return
	}
	a.reached(cfg)
	a.inhibitions(cfg)
	for _, r := range cfg.Receivers {
		a.receiver(r)
	}
}

// reached sends every loaded rule's alert through the routes, by the labels that the rule itself sets. A route that none of
// them reaches tells nobody anything.
func (a *audit) reached(cfg amConfig) {
	hit := map[*amRoute]bool{}
	for _, name := range sorted(a.rules) {
		labels := map[string]string{"alertname": name}
		for k, v := range a.rules[name].Labels {
			labels[k] = v
		}
		cfg.Route.send(labels, hit)
	}
	cfg.Route.walk(func(r *amRoute) {
		d := drills.Diagnosis{What: "route to " + cfg.Route.receiverOf(r), Level: drills.LevelOK, Found: "reached by a loaded rule", Topic: drills.TopicAlerts}
		if !r.reached(hit) && r != &cfg.Route {
			d.Level, d.Found = drills.LevelWarning, "no loaded rule's alert reaches it: "+r.String()
			d.Why = "whoever it is for is told nothing"
			d.Mend = "a route before it takes them all (`continue: true`, or another order), or no rule has these labels"
		}
		a.add(d)
	})
}

func (a *audit) inhibitions(cfg amConfig) {
	for i, inh := range cfg.Inhibit {
		d := drills.Diagnosis{What: fmt.Sprintf("inhibition %d", i+1), Level: drills.LevelOK, Topic: drills.TopicAlerts}
		source := matchersOf(inh.SourceMatchers, inh.SourceMatch, inh.SourceMatchRE)
		n := 0
		for _, name := range sorted(a.rules) {
			labels := map[string]string{"alertname": name}
			for k, v := range a.rules[name].Labels {
				labels[k] = v
			}
			if source.match(labels) {
				n++
			}
		}
		d.Found = fmt.Sprintf("source %s: %s", source, plural(n, "rule"))
		if n == 0 {
			d.Level, d.Found = drills.LevelProblem, fmt.Sprintf("no loaded rule is its source: %s", source)
			d.Why, d.Mend = "it never silences anything, so one outage pages for everything that hangs on it", "correct the name, or load the rule"
		}
		a.add(d)
	}
}

// placeholders are what is left in configurations that were copied and never filled in.
var placeholders = regexp.MustCompile(`(?i)example\.(com|org|net)|change[-_ ]?me|placeholder|your[-_.]|xxxx|T00000000|TODO|\$\{[A-Z_]+\}|<(your|webhook|token|password)`)

// receiver looks for receivers that tell nobody, and for secrets that were never filled in.
func (a *audit) receiver(r map[string]any) {
	name, _ := r["name"].(string)
	d := drills.Diagnosis{What: "receiver " + name, Level: drills.LevelOK, Topic: drills.TopicSecrets}
	var ways []string
	var found []string
	for _, k := range sorted(r) {
		if list, ok := r[k].([]any); ok && strings.HasSuffix(k, "_configs") {
			ways = append(ways, fmt.Sprintf("%s ×%d", strings.TrimSuffix(k, "_configs"), len(list)))
			found = append(found, leftOver(list)...)
		}
	}
	d.Found = strings.Join(ways, ", ")
	switch {
	case len(ways) == 0:
		d.Level, d.Found = drills.LevelWarning, "it tells nobody"
		d.Why, d.Mend = "an alert that is routed here disappears", "give it a channel, or route to another receiver"
	case len(found) > 0:
		d.Level, d.Found = drills.LevelProblem, "a placeholder was never filled in: "+strings.Join(found, ", ")
		d.Why, d.Mend = "nobody is told; Alertmanager only logs that it could not", "give the real address, secrets by *_file"
	}
	a.add(d)
}

// leftOver lists the texts that look like placeholders.
func leftOver(v any) []string {
	var out []string
	switch v := v.(type) {
	case string:
		if placeholders.MatchString(v) {
			out = append(out, v)
		}
	case []any:
		for _, x := range v {
			out = append(out, leftOver(x)...)
		}
	case map[string]any:
		for _, k := range sorted(v) {
			out = append(out, leftOver(v[k])...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
