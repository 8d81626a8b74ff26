package drills

import "time"

// Level is how bad a diagnosis is.
type Level string

// OK: as it should be. Warning: a drill can be run, but somebody will be misled or surprised. Problem: a drill would be refused,
// or what is relied on cannot work. NotChecked is not a good sign: it could not be looked at.
const (
	LevelOK         Level = "ok"
	LevelNotChecked Level = "not-checked"
	LevelWarning    Level = "warning"
	LevelProblem    Level = "problem"
)

// Worse tells whether l is worse than another.
func (l Level) Worse(than Level) bool { return l.rank() > than.rank() }

func (l Level) rank() int {
	switch l {
	case LevelProblem:
		return 3
	case LevelWarning:
		return 2
	case LevelNotChecked:
		return 1
	case LevelOK:
	}
	return 0
}

// Topic is a line of the data-quality checklist to which a diagnosis belongs; "" is none.
type Topic string

// The checklist: what must be right before a measurement of the monitoring can be believed.
const (
	TopicSources     Topic = "sources confirmed"
	TopicCardinality Topic = "label cardinality"
	TopicScrape      Topic = "scrape valid"
	TopicAlerts      Topic = "alerts aligned"
	TopicDashboards  Topic = "dashboards versioned"
	TopicSecrets     Topic = "secrets managed"
)

// Topics lists the checklist in its order.
func Topics() []Topic {
	return []Topic{TopicSources, TopicCardinality, TopicScrape, TopicAlerts, TopicDashboards, TopicSecrets}
}

// Diagnosis is one line of the doctor: what was looked at, what was found, why it matters, how to mend it.
type Diagnosis struct {
	Part  string `json:"part"` // host | engine | system | monitoring
	What  string `json:"what"`
	Level Level  `json:"level"`
	Found string `json:"found"`
	Why   string `json:"why,omitempty"`
	Mend  string `json:"mend,omitempty"`
	Topic Topic  `json:"topic,omitempty"`
}

// ChecklistLine is one topic with its worst level and the diagnoses that made it so. Not checked when nothing was looked at.
type ChecklistLine struct {
	Topic Topic    `json:"topic"`
	Level Level    `json:"level"`
	Found []string `json:"found,omitempty"` // what is not as it should be; else how many things were looked at
}

// Checklist sums diagnoses up by topic.
func Checklist(ds []Diagnosis) []ChecklistLine {
	var out []ChecklistLine
	for _, t := range Topics() {
		line := ChecklistLine{Topic: t, Level: LevelNotChecked}
		looked := 0
		for _, d := range ds {
			if d.Topic != t {
				continue
			}
			if looked++; looked == 1 || d.Level.Worse(line.Level) {
				line.Level = d.Level
			}
			if d.Level != LevelOK {
				line.Found = append(line.Found, d.What+": "+d.Found)
			}
		}
		out = append(out, line)
	}
	return out
}

// ScrapeTarget is one active target of Prometheus.
type ScrapeTarget struct {
	Job, Instance string
	Labels        map[string]string
	Up            bool
	Error         string
	Interval      time.Duration
}

// AlertRule is one alerting rule as Prometheus has loaded it.
type AlertRule struct {
	Name, Query string
	For         time.Duration
	Labels      map[string]string
	Health      string // ok | err | unknown
	Error       string
}

// MonitoringFacts are what the monitoring says of itself. Series is the number in the head of Prometheus's store.
type MonitoringFacts struct {
	Targets          []ScrapeTarget
	Rules            []AlertRule
	Labels           []string // names in use
	Series           int
	Biggest          map[string]int // series by metric name, the largest ones
	AlertmanagerYAML string         // its configuration as it was loaded, secrets hidden by itself; "" where there is none
}
