package drills

import "time"

// Calendar says which drill runs when, on one system.
type Calendar struct {
	Version   int        `json:"version" yaml:"version"`
	Name      string     `json:"calendar" yaml:"calendar"`
	System    string     `json:"system" yaml:"system"` // path of the system file, relative to the calendar's
	Runs      string     `json:"runs,omitempty" yaml:"runs"`
	Entries   []Entry    `json:"entries" yaml:"entries"`
	Blackouts []Blackout `json:"blackouts,omitempty" yaml:"blackouts"`

	File   string `json:"file" yaml:"-"`
	Digest string `json:"digest" yaml:"-"`
}

// MissedPolicy says what to do with a slot whose time passed while nobody was serving (or another run was on).
type MissedPolicy string

// RunOnce runs the newest missed slot once when it is no older than the entry's grace, and records older ones as missed;
// Skip records all of them as missed.
const (
	RunOnce MissedPolicy = "run-once"
	Skip    MissedPolicy = "skip"
)

// Entry is one line of the calendar. Cron has five fields, in TimeZone (IANA name, UTC by default).
type Entry struct {
	Name      string       `json:"name" yaml:"name"`
	Cron      string       `json:"cron" yaml:"cron"`
	TimeZone  string       `json:"time-zone,omitempty" yaml:"time-zone"`
	Drill     string       `json:"drill,omitempty" yaml:"drill"`
	Suite     string       `json:"suite,omitempty" yaml:"suite"`         // instead of one drill: all of a suite, one after the other
	Component string       `json:"component,omitempty" yaml:"component"` // for generic drills
	Profile   string       `json:"profile,omitempty" yaml:"profile"`
	Missed    MissedPolicy `json:"missed,omitempty" yaml:"missed"` // default skip
	Grace     Duration     `json:"grace,omitempty" yaml:"grace"`   // default 1h
}

// Blackout is a span of time in which nothing is injected; its slots are recorded as blocked.
type Blackout struct {
	From   time.Time `json:"from" yaml:"from"`
	To     time.Time `json:"to" yaml:"to"`
	Reason string    `json:"reason" yaml:"reason"`
}

// Slot is one due time of one entry: the unit that intention-to-drill counts.
type Slot struct {
	Entry string    `json:"entry"`
	Due   time.Time `json:"due"` // UTC
}

// ID is the slot's stable name.
func (s Slot) ID() string { return s.Entry + "@" + s.Due.UTC().Format(time.RFC3339) }

// Each is the entries of a suite's drills in the suite's order, all due when the entry is: the later ones begin late, so
// they are run as long as they are no later than the entry's grace.
func (e Entry) Each(s *Suite) []Entry {
	var out []Entry
	for _, x := range s.Drills {
		one := e
		one.Name, one.Drill, one.Component, one.Suite, one.Missed = e.Name+"-"+x.Drill, x.Drill, x.Component, "", RunOnce
		if x.Component != "" {
			one.Name += "-" + x.Component
		}
		out = append(out, one)
	}
	return out
}
