package drills_test

import (
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

func fires(name string, from, told float64) []drills.Event {
	alert := func(state drills.AlertState, s float64) drills.Event {
		return drills.Event{At: at(s), Kind: drills.EvAlert, Alert: &drills.AlertEvent{Name: name, Severity: "critical", State: state, At: drills.At(at(s))}}
	}
	out := []drills.Event{alert(drills.AlertFiring, from)}
	if told > 0 {
		out = append(out, alert(drills.AlertNotified, told))
	}
	return out
}

func silent(source string, from, to float64) drills.Event {
	return drills.Event{At: at(to), Kind: drills.EvBlind, Blind: &drills.Blind{Source: source, Span: drills.Interval{From: at(from), To: at(to)}}}
}

// TestWhatCouldNotBeSeenIsNotMeasured: the fault is at 20 s, the run ends at 60 s.
func TestWhatCouldNotBeSeenIsNotMeasured(t *testing.T) {
	x := drills.Expect{Alerts: &drills.Alerts{Others: "none", Fire: []drills.AlertExpect{{Name: "Down", Within: 15 * second, NotifiedWithin: 15 * second}}}}
	const prom, sink = drills.BlindPrometheus, drills.BlindSink
	for _, c := range []struct {
		name                   string
		saw                    []drills.Event
		fires, notified, other drills.Verdict
	}{
		{"all seen", fires("Down", 25, 26), drills.Met, drills.Met, drills.Met},
		{"nothing seen", nil, drills.NotMet, drills.NotMet, drills.Met},
		{"nothing seen, blind", []drills.Event{silent(prom, 21, 40)}, drills.NotMeasured, drills.NotMeasured, drills.NotMeasured},
		{"nothing seen, blind for a moment", []drills.Event{silent(prom, 21, 24)}, drills.NotMet, drills.NotMet, drills.Met},
		{"nothing seen, blind before and after", []drills.Event{silent(prom, 5, 20), silent(prom, 36, 50)}, drills.NotMet, drills.NotMet, drills.NotMeasured},
		{"blind in pieces", []drills.Event{silent(prom, 21, 24), silent(prom, 25, 28)}, drills.NotMeasured, drills.NotMeasured, drills.Met},
		{"fired late after a blind span", append([]drills.Event{silent(prom, 21, 39)}, fires("Down", 39, 40)...), drills.NotMeasured, drills.NotMeasured, drills.NotMeasured},
		{"fired in time in spite of it", append(fires("Down", 25, 26), silent(prom, 27, 40)), drills.Met, drills.Met, drills.NotMeasured},
		{"the sink was silent", append(fires("Down", 25, 0), silent(sink, 22, 40)), drills.Met, drills.NotMeasured, drills.Met},
		{"another fired before it went blind", append(fires("Other", 22, 23), silent(prom, 23, 40)), drills.NotMeasured, drills.NotMeasured, drills.NotMet},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := drills.Fold(history(x, c.saw...))
			for id, want := range map[string]drills.Verdict{"alert:Down": c.fires, "notified:Down": c.notified, "alerts:others": c.other} {
				if j := judged(t, r, id); j.Verdict != want {
					t.Errorf("%s: %s (%s), want %s", id, j.Verdict, j.Why, want)
				}
			}
			if r.Outcome == drills.Pass && (c.fires != drills.Met || c.other != drills.Met) {
				t.Errorf("passed: %s", r.Sentence)
			}
		})
	}
}

func TestAQueryOverABlindSpanDecidesNothing(t *testing.T) {
	limit := 0.5
	x := drills.Expect{During: []drills.During{{Title: "errors", PromQL: "x", Window: [2]string{"T0", "T0+20s"}, Max: &limit}}}
	query := func(max float64) drills.Event {
		return drills.Event{At: at(55), Kind: drills.EvQuery, Query: &drills.QueryResult{Title: "errors", Samples: 20, Max: max, Window: drills.Interval{From: at(20), To: at(40)}}}
	}
	for _, c := range []struct {
		name string
		saw  []drills.Event
		want drills.Verdict
	}{
		{"seen", []drills.Event{query(0.1)}, drills.Met},
		{"blind", []drills.Event{query(0.1), silent(drills.BlindPrometheus, 22, 38)}, drills.NotMeasured},
		{"blind and bad all the same", []drills.Event{query(0.9), silent(drills.BlindPrometheus, 22, 38)}, drills.NotMet},
	} {
		r := drills.Fold(history(x, c.saw...))
		var got drills.Verdict
		for _, j := range r.Expectations {
			if strings.Contains(j.Title, "errors") {
				got = j.Verdict
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestNobodyToldIsAFinding(t *testing.T) {
	for _, c := range []struct {
		name string
		saw  []drills.Event
		want string
	}{
		{"at once", fires("Down", 25, 26), ""},
		{"late", fires("Down", 25, 45), "told-late:Down"},
		{"never", fires("Down", 25, 0), "untold:Down"},
		{"too near the end to say", fires("Down", 50, 0), ""},
		{"we were deaf", append(fires("Down", 25, 0), silent(drills.BlindSink, 26, 59)), ""},
		{"before the fault", fires("Down", 10, 0), ""},
	} {
		events := history(drills.Expect{}, c.saw...)
		events[0].Opened.System.Monitoring.NotifiedBy = &drills.NotifiedBy{Kind: "webhook"}
		got := ""
		for _, f := range drills.Fold(events).Findings {
			if strings.HasPrefix(f.ID, "told-late") || strings.HasPrefix(f.ID, "untold") {
				got += f.ID
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
