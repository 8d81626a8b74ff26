package drills_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// story is a journal written by hand: T0 is 60 s after the opening, instants are seconds from T0.
type story struct {
	system *drills.System
	drill  *drills.Drill
	ledger *drills.Ledger
	events []drills.Event
}

var storyT0 = time.Date(2026, 11, 23, 12, 1, 0, 0, time.UTC)

func t0p(s float64) time.Time { return storyT0.Add(time.Duration(s * float64(time.Second))) }

func span0(a, b float64) drills.Interval { return drills.Interval{From: t0p(a), To: t0p(b)} }

func newStory() *story {
	sys := system()
	sys.Monitoring = drills.Monitoring{Prometheus: &drills.Endpoint{URL: "http://p"}, NotifiedBy: &drills.NotifiedBy{Kind: "webhook", At: "http://sink"}}
	c := sys.Components["redis"]
	c.Objectives.Availability, c.SeenBy = "99.99%", &drills.SeenBy{Service: "primaries", Exporter: "up"}
	sys.Components["redis"] = c
	d := killDrill()
	d.Expect = drills.Expect{Alerts: &drills.Alerts{Fire: []drills.AlertExpect{{Name: "RedisDown", Within: 30 * second}}}}
	return &story{system: sys, drill: d}
}

func (s *story) add(sec float64, e drills.Event) *story {
	e.At = t0p(sec)
	s.events = append(s.events, e)
	return s
}

// down is an outage of redis-write with edges that are 0.1 s wide; end 0: none was seen.
func (s *story) probe(outages ...[2]float64) *story {
	p := drills.ProbeMeasured{Name: "redis-write", Every: second / 20, From: t0p(-50), To: t0p(100), Count: drills.Classes{Good: 3000}, Cell: 10 * second, Strip: make([]drills.Bucket, 15)}
	for _, o := range outages {
		x := drills.Outage{Kind: drills.Down, Start: span0(o[0], o[0]+0.1)}
		if o[1] != 0 {
			e := span0(o[1], o[1]+0.1)
			x.End = &e
		} else { // bad to the last cell
			p.Strip[14].Bad = 200
		}
		p.Outages = append(p.Outages, x)
	}
	return s.add(100, drills.Event{Kind: drills.EvMeasured, Probe: &p})
}

// seen is one letter a second from -5 s on, scraped every second, 0.5 s late at most.
func (s *story) seen(states, exporters string) *story {
	return s.add(100, drills.Event{Kind: drills.EvSeen, Seen: &drills.Seen{
		Component: "redis", Service: "primaries", Exporter: "up", From: t0p(-5), Step: second, Scrape: second, Late: second / 2,
		States: states, Exporters: exporters, How: "scraped every 1s",
	}})
}

func (s *story) alert(state drills.AlertState, from, to float64) *story {
	return s.add(to, drills.Event{Kind: drills.EvAlert, Alert: &drills.AlertEvent{Name: "RedisDown", State: state, At: span0(from, to)}})
}

func (s *story) role(sec float64, primary string) *story {
	return s.add(sec, drills.Event{Kind: drills.EvRole, Role: &drills.RoleView{Component: "redis", At: t0p(sec), Primaries: []string{primary}}})
}

func (s *story) fold() drills.Record {
	change := drills.Change{ID: "kill.1", Fault: "kill", Class: drills.ClassUndo, Do: drills.Op{Verb: "unit.kill"}, Undo: drills.Op{Verb: "unit.start"}}
	effect := drills.Effect{From: t0p(0), To: t0p(0), Proven: true, Source: "engine"}
	back := drills.Effect{From: t0p(60), To: t0p(60), Proven: true}
	events := []drills.Event{
		{At: t0p(-60), Kind: drills.EvOpened, Opened: &drills.Opened{Run: "r", Drill: s.drill, System: s.system, Ledger: s.ledger, Objectives: s.system.ObjectivesOf("redis", "")}},
		{At: t0p(-59), Kind: drills.EvPhase, Phase: drills.Steady},
		{At: t0p(0), Kind: drills.EvIntended, Change: &change},
		{At: t0p(0), Kind: drills.EvApplied, Change: &change, Effect: &effect},
		{At: t0p(60), Kind: drills.EvUndone, Change: &change, Effect: &back},
		{At: t0p(110), Kind: drills.EvClosed},
	}
	events = append(events, s.events...)
	slices.SortStableFunc(events, func(a, b drills.Event) int { return a.At.Compare(b.At) })
	return drills.Fold(events)
}

const up5, up20 = "uuuuu", "uuuuuuuuuuuuuuuuuuuu"

// TestViewsAgreeOrNot: every way in which Prometheus and the users can differ, and the finding about it.
func TestViewsAgreeOrNot(t *testing.T) {
	for _, c := range []struct {
		name              string
		outages           [][2]float64
		states, exporters string
		want              []drills.Agreement
		severity          string // of the finding; empty: none
	}{
		{"the same outage", [][2]float64{{0.5, 6}}, up5 + "uddddddu" + up20, "", []drills.Agreement{drills.Agrees}, ""},
		{"noticed late", [][2]float64{{0.5, 12}}, up5 + "uuuuuddddddddu" + up20, "", []drills.Agreement{drills.SeenLate}, drills.SeverityWarning},
		{"claims it long after", [][2]float64{{0.5, 3}}, up5 + "udddddddddddddu" + up20, "", []drills.Agreement{drills.SeenLong}, drills.SeverityWarning},
		{"calls it over too early", [][2]float64{{0.5, 12}}, up5 + "udduuuuuuuuuuuu" + up20, "", []drills.Agreement{drills.SeenBrief}, drills.SeverityWarning},
		{"saw it before users did", [][2]float64{{6, 12}}, up5 + "uddddddddddddu" + up20, "", []drills.Agreement{drills.SeenEarly}, drills.SeverityWarning},
		{"missed altogether", [][2]float64{{0.5, 12}}, up5 + up20 + up20, "", []drills.Agreement{drills.SeenMissed}, drills.SeverityWarning},
		{"shorter than it can see", [][2]float64{{0.5, 2}}, up5 + up20, "", []drills.Agreement{drills.TooShort}, drills.SeverityInfo},
		{"no data meanwhile", [][2]float64{{0.5, 12}}, up5 + strings.Repeat("-", 15) + up20, "", []drills.Agreement{drills.SeenNoData}, drills.SeverityWarning},
		{"an outage that no user saw", nil, up5 + "udddddu" + up20, up5 + up20, []drills.Agreement{drills.Unfelt}, drills.SeverityWarning},
		{"the exporter's outage", nil, up5 + "udddddu" + up20, up5 + "udddddu" + up20, []drills.Agreement{drills.NotTheirs}, drills.SeverityWarning},
		{"nothing happened", nil, up5 + up20, "", nil, ""},
		{"never over for both", [][2]float64{{0.5, 0}}, up5 + "u" + strings.Repeat("d", 80), "", []drills.Agreement{drills.Agrees}, ""},
		{"over for users, never for it", [][2]float64{{0.5, 6}}, up5 + "u" + strings.Repeat("d", 80), "", []drills.Agreement{drills.SeenLong}, drills.SeverityWarning},
		{"over for it, never for users", [][2]float64{{0.5, 0}}, up5 + "udddddddu" + up20, "", []drills.Agreement{drills.SeenBrief}, drills.SeverityWarning},
		{"down when it was first asked", [][2]float64{{0.5, 6}}, "ddddddddddduu" + up20, "", []drills.Agreement{drills.SeenEarly}, drills.SeverityWarning},
		{"over for it, and the probes only stopped too early", [][2]float64{{93, 0}}, up5 + strings.Repeat("u", 100), "", []drills.Agreement{drills.TooShort}, drills.SeverityInfo},
		{"it has no value at all", nil, strings.Repeat("-", 30), "", nil, drills.SeverityWarning},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newStory().probe(c.outages...).seen(c.states, c.exporters).fold()
			if len(r.Prometheus) != 1 {
				t.Fatalf("%d views", len(r.Prometheus))
			}
			var got []drills.Agreement
			for _, x := range r.Prometheus[0].Compared {
				got = append(got, x.Agreement)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q: %+v", got, c.want, r.Prometheus[0].Compared)
			}
			i := slices.IndexFunc(r.Findings, func(f drills.Finding) bool { return strings.HasPrefix(f.ID, "view") })
			if (i >= 0) != (c.severity != "") || i >= 0 && r.Findings[i].Severity != c.severity {
				t.Errorf("findings %+v, want one of severity %q", r.Findings, c.severity)
			}
		})
	}
}

func TestThreeViews(t *testing.T) {
	whole := func() *story {
		return newStory().probe([2]float64{0.5, 6}).seen(up5+"uddddddu"+up20, "").
			alert(drills.AlertPending, 1, 2).alert(drills.AlertFiring, 3, 4).alert(drills.AlertNotified, 4, 4).
			alert(drills.AlertResolved, 70, 71).alert(drills.AlertResolvedNotified, 72, 72)
	}
	type row struct {
		known        drills.Known
		lasted, says string
	}
	for _, c := range []struct {
		name string
		set  func(*story)
		want [3]row
	}{
		{"all three", nil, [3]row{{drills.Happened, "5.400–5.600 s", ""}, {drills.Happened, "3.500–8.500 s", "agrees"}, {drills.Happened, "68.000 s", ""}}},
		{"no sink: what Prometheus fired is not what people got", func(s *story) { s.system.Monitoring.NotifiedBy = nil }, [3]row{
			{drills.Happened, "5.400–5.600 s", ""}, {drills.Happened, "3.500–8.500 s", "agrees"}, {drills.Unmeasured, "", "notified-by"},
		}},
		{"nothing declared", func(s *story) {
			s.system.Monitoring = drills.Monitoring{}
			s.events = slices.DeleteFunc(s.events, func(e drills.Event) bool { return e.Kind == drills.EvSeen })
		}, [3]row{{drills.Happened, "5.400–5.600 s", ""}, {drills.Unmeasured, "", "seen-by"}, {drills.Unmeasured, "", "monitoring"}}},
		{"nobody was told", func(s *story) {
			s.events = slices.DeleteFunc(s.events, func(e drills.Event) bool { return e.Kind == drills.EvAlert && e.Alert.State == drills.AlertNotified })
		}, [3]row{{drills.Happened, "5.400–5.600 s", ""}, {drills.Happened, "3.500–8.500 s", "agrees"}, {drills.DidNotHappen, "", "nobody was told"}}},
		{"never told that it is over", func(s *story) {
			s.events = slices.DeleteFunc(s.events, func(e drills.Event) bool {
				return e.Kind == drills.EvAlert && e.Alert.State == drills.AlertResolvedNotified
			})
		}, [3]row{{drills.Happened, "5.400–5.600 s", ""}, {drills.Happened, "3.500–8.500 s", "agrees"}, {drills.Happened, "", ""}}},
		{"no user saw anything", func(s *story) {
			s.events = slices.DeleteFunc(s.events, func(e drills.Event) bool { return e.Kind == drills.EvMeasured })
			s.probe()
		}, [3]row{{drills.DidNotHappen, "", "no outage"}, {drills.Happened, "3.500–8.500 s", ""}, {drills.Happened, "68.000 s", ""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := whole()
			if c.set != nil {
				c.set(s)
			}
			for i, v := range s.fold().Views {
				lasted := ""
				if v.Lasted != nil {
					lasted = v.Lasted.String()
				}
				w := c.want[i]
				if v.Known != w.known || lasted != w.lasted || !strings.Contains(v.Why, w.says) {
					t.Errorf("%s: %s, lasted %q, %q; want %+v", v.Who, v.Known, lasted, v.Why, w)
				}
			}
		})
	}
}

// TestDecomposition: the legs up to T6 share the recovery time among them; what did not happen is told apart from what
// nobody measured.
func TestDecomposition(t *testing.T) {
	s := newStory().role(-1, "a").role(4, "a").role(4.25, "b").probe([2]float64{0.5, 6}).
		alert(drills.AlertPending, 1, 2).alert(drills.AlertFiring, 3, 4).alert(drills.AlertNotified, 4, 4)
	r := s.fold()
	want := map[string]drills.Known{
		"fault effective": drills.Happened, "first bad answer": drills.Happened, "alert firing": drills.Happened, "people notified": drills.Happened,
		"failover (another primary)": drills.Happened, "first good answer": drills.Happened, "service stable": drills.Happened,
		"data complete": drills.Unmeasured, "redundant again": drills.Happened,
	}
	for _, m := range r.Axis.Milestones {
		if w, ok := want[m.Name]; ok && m.Known != w {
			t.Errorf("%s: %s (%s), want %s", m.Name, m.Known, m.Why, w)
		}
	}
	rta, sum := r.RTA.Span, drills.Span{}
	for _, l := range r.Axis.Legs {
		if l.Share != nil {
			sum.Lo, sum.Hi = sum.Lo+l.Lasted.Lo, sum.Hi+l.Lasted.Hi
			if l.Share.Lo < 0 || l.Share.Hi > 1 || l.Share.Lo > l.Share.Hi {
				t.Errorf("%s to %s: share %+v", l.From, l.To, *l.Share)
			}
		}
	}
	if sum.Lo > rta.Lo || sum.Hi < rta.Hi {
		t.Errorf("the legs take %s, the recovery %s", sum, rta)
	}
	if n := len(r.Axis.Legs); n != 5 || r.Axis.Legs[4].Share != nil {
		t.Errorf("%d legs, the last with share %+v: redundancy is no part of the RTA", n, r.Axis.Legs[n-1].Share)
	}

	bare := newStory()
	bare.system.Monitoring = drills.Monitoring{}
	c := bare.system.Components["redis"]
	c.Roles = nil
	bare.system.Components["redis"] = c
	for _, m := range bare.probe().fold().Axis.Milestones {
		wantKnown := map[string]drills.Known{"alert firing": drills.Unmeasured, "failover (another primary)": drills.Unmeasured, "first bad answer": drills.DidNotHappen, "redundant again": drills.Unmeasured}
		if w, ok := wantKnown[m.Name]; ok && m.Known != w {
			t.Errorf("nothing declared: %s: %s, want %s", m.Name, m.Known, w)
		}
	}
}
