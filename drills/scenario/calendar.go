package scenario

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	_ "time/tzdata" // time zones are checked the same on every host, also where no zone files are installed

	"github.com/robfig/cron/v3"

	"github.com/eevans-d/simulacro/drills"
)

// LoadCalendar reads a calendar. Every problem of the file is in the error (Errors). The path of the system file stays as
// it is written, relative to the calendar's folder.
func LoadCalendar(path string) (*drills.Calendar, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseCalendar(path, b)
}

func parseCalendar(file string, b []byte) (*drills.Calendar, error) {
	d, err := parse(file, b)
	if err != nil {
		return nil, err
	}
	c := &drills.Calendar{}
	d.structure(d.root, "", reflect.ValueOf(c).Elem())
	if d.budget <= 0 {
		return nil, d.err()
	}
	c.File, c.Digest = file, digest(b)
	d.calendar(c)
	if err := d.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func (d *document) calendar(c *drills.Calendar) {
	d.version(c.Version)
	d.requiredName("calendar", c.Name, "the calendar's name, such as `calendar: monthly`")
	d.required("system", c.System != "", "the path of the system file, relative to this file")
	seen := map[string]bool{}
	if d.required("entries", len(c.Entries) > 0, "at least one: {name: NAME, cron: \"0 3 1 * *\", drill: DRILL}") {
		for i := range c.Entries {
			d.entry(fmt.Sprintf("entries[%d]", i), &c.Entries[i], seen)
		}
	}
	for i, b := range c.Blackouts {
		path := fmt.Sprintf("blackouts[%d]", i)
		from := d.required(path+".from", !b.From.IsZero(), "a time such as 2026-12-24T18:00:00-03:00")
		to := d.required(path+".to", !b.To.IsZero(), "a time such as 2026-12-26T08:00:00-03:00")
		if from && to && !b.From.Before(b.To) {
			d.add(path+".to", "the blackout ends before it begins", "")
		}
		d.required(path+".reason", b.Reason != "", "blocked slots are reported with it")
	}
}

func (d *document) entry(path string, e *drills.Entry, seen map[string]bool) {
	d.requiredName(path+".name", e.Name, "what reports call it")
	if e.Name != "" && seen[e.Name] {
		d.add(path+".name", "the name "+e.Name+" is there twice", "every entry has its own")
	}
	seen[e.Name] = true
	switch {
	case e.Suite == "":
		d.required(path+".drill", e.Drill != "", "a drill's name or path, or `suite:`")
	case e.Drill != "" || e.Component != "":
		d.add(path+".suite", "an entry runs a drill or a suite", "the suite names its drills and their components")
	case e.Missed == drills.Skip:
		d.add(path+".missed", "all drills of a suite are due at once, so that all but the first begin late", "remove it, and give the suite enough `grace:`")
	}
	if e.TimeZone == "" {
		e.TimeZone = "UTC"
	}
	if _, err := time.LoadLocation(e.TimeZone); err != nil || e.TimeZone == "Local" {
		d.add(path+".time-zone", fmt.Sprintf("%q is not a time zone", e.TimeZone), "an IANA name such as America/Argentina/Buenos_Aires")
	}
	if d.required(path+".cron", e.Cron != "", `minute hour day month weekday, such as "0 3 1 * *"`) {
		d.cron(path+".cron", e.Cron)
	}
	if e.Missed == "" {
		e.Missed = drills.Skip
	}
	d.known(path+".missed", "policy", string(e.Missed), []string{string(drills.RunOnce), string(drills.Skip)})
	d.positive(path+".grace", e.Grace)
	fill(&e.Grace, graceOf(*e))
}

// graceOf leaves a suite the time that it takes.
func graceOf(e drills.Entry) time.Duration {
	if e.Suite != "" {
		return 6 * time.Hour
	}
	return time.Hour
}

// cron checks a cron expression of five fields, and that its time ever comes.
func (d *document) cron(path, expression string) {
	const hint = `five fields: minute hour day month weekday, such as "0 3 1 * *"`
	if strings.Contains(expression, "=") { // TZ=… and CRON_TZ=… of the library
		d.add(path, "a time zone does not belong here", "write time-zone: beside it")
		return
	}
	s, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(expression)
	switch {
	case err != nil:
		d.add(path, "this is not a cron expression: "+err.Error(), hint)
	case s.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero():
		d.add(path, "this time never comes", "does the month have that day?")
	}
}
