package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitProblem `xml:"failure"`
	Error   *junitProblem `xml:"error"`
	Skipped *junitSkipped `xml:"skipped"`
}

// junitProblem repeats the message in its body: readers are known to ignore the attribute.
type junitProblem struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Body    string `xml:",chardata"`
}

type junitSkipped struct {
	Message string `xml:"message,attr"`
}

// JUnit writes one suite for a run; names carry the run's id, because readers drop duplicates.
func JUnit(w io.Writer, r drills.Record) error { return JUnitAll(w, []drills.Record{r}) }

// JUnitAll writes one suite per run.
func JUnitAll(w io.Writer, rs []drills.Record) error {
	all := junitSuites{Name: "simulacro"}
	var took time.Duration
	for _, r := range rs {
		s := suite(r)
		all.Tests, all.Failures, all.Errors, all.Skipped = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors, all.Skipped+s.Skipped
		took += r.Ended.Sub(r.Started)
		all.Suites = append(all.Suites, s)
	}
	all.Time = seconds(took)
	out, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("junit: %w", err)
	}
	_, err = w.Write(append([]byte(xml.Header), append(out, '\n')...))
	return err
}

func suite(r drills.Record) junitSuite {
	s := junitSuite{Name: drillName(r), Time: seconds(r.Ended.Sub(r.Started)), Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05"), Properties: properties(r)}
	for _, c := range junitCases(r) {
		c.Name += " (" + r.Opened.Run + ")"
		c.Class = systemOf(r).Name + "." + drillName(r)
		s.Tests++
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
		s.Cases = append(s.Cases, c)
	}
	return s
}

func properties(r drills.Record) []junitProperty {
	d, s := drillOf(r), systemOf(r)
	out := []junitProperty{
		{"run", r.Opened.Run},
		{"outcome", string(r.Outcome)},
		{"cause", r.Cause},
		{"purpose", string(r.Opened.Purpose)},
		{"system", s.Name},
		{"environment", s.Environment},
		{"component", d.Component},
		{"drill.sha256", d.Digest},
		{"system.sha256", s.Digest},
	}
	add := func(name string, j *drills.Judged) {
		if j != nil && j.Span != nil {
			out = append(out, junitProperty{name + ".seconds.low", seconds(j.Span.Lo.D())}, junitProperty{name + ".seconds.high", seconds(j.Span.Hi.D())})
		}
	}
	add("rta", r.RTA)
	add("rpa", r.RPA)
	add("detection", r.Detection)
	return out
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

func problem(kind, message string) *junitProblem {
	// XML has no place for most control characters, and a reader refuses the whole file over one.
	message = printable(strings.ReplaceAll(message, "\n", " "))
	return &junitProblem{Type: kind, Message: message, Body: message}
}
