package monitor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

func TestSelectorsAndRanges(t *testing.T) {
	for _, c := range []struct {
		query   string
		metrics []string // that must be among the selectors
		longest time.Duration
	}{
		{`min(redis_up{job="redis"})`, []string{`redis_up{job="redis"}`}, 0},
		{`count(x{role="a}b", s='up'} == 0) or vector(0)`, []string{`x{role="a}b", s='up'}`}, 0},
		{`sum(rate(a:b[6s])) / avg_over_time(c[5m:10s])`, []string{"a:b", "c"}, 5 * time.Minute},
		{`up{job="a"} and on () label_replace(down, "x", "$1", "y", "(z)")`, []string{`up{job="a"}`, "down"}, 0},
	} {
		got := selectors(c.query)
		for _, want := range c.metrics {
			if !slices.Contains(got, want) {
				t.Errorf("%s: %s is not among %q", c.query, want, got)
			}
		}
		if slices.Contains(got, "z") || slices.Contains(got, "redis") {
			t.Errorf("%s: %q holds what stands in quotes", c.query, got)
		}
		if d := rangeOf(c.query); d != c.longest {
			t.Errorf("%s: longest range %s, want %s", c.query, d, c.longest)
		}
	}
}

// TestSeen: the states are those of Prometheus' answer, step by step; the resolution is that of the targets behind the query.
func TestSeen(t *testing.T) {
	from := time.Now().Add(-10 * time.Second).Truncate(time.Millisecond)
	series := func(values string) string {
		var ps []string
		for i, v := range values {
			value, ok := map[rune]string{'1': "1", '2': "2", '0': "0", 'n': "NaN", 'h': "0.5"}[v]
			if ok {
				ps = append(ps, fmt.Sprintf(`[%.3f,%q]`, float64(from.Add(time.Duration(i)*time.Second).UnixMilli())/1000, value))
			}
		}
		return `{"metric":{},"values":[` + strings.Join(ps, ",") + `]}`
	}
	const targets = `{"scrapePool":"redis","scrapeUrl":"http://e/1","labels":{"job":"redis","instance":"r1"},"health":"up","scrapeInterval":"1s","scrapeTimeout":"900ms"},
		{"scrapePool":"node","scrapeUrl":"http://n","labels":{"job":"node","instance":"n"},"health":"up","scrapeInterval":"15s","scrapeTimeout":"10s"}`
	redis := map[string]string{"redis_up": `{"__name__":"redis_up","job":"redis","instance":"r1"}`}
	for _, c := range []struct {
		name, answer, exporter    string
		targets                   string
		behind                    map[string]string
		states, exporters, failed string
		scrape, late              time.Duration
	}{
		{"one series", series("11002n11h11"), series("11111111111"), targets, redis, "uuddu-uuduu", "uuuuuuuuuuu", "", time.Second, 900 * time.Millisecond},
		{"of several the lowest", series("11111111111") + "," + series("11 0"), "", targets, redis, "uuuduuuuuuu", "-----------", "", time.Second, 900 * time.Millisecond},
		{"what is not there says nothing", series("11 00  1111"), series("1"), targets, redis, "uu-dd--uuuu", "u----------", "", time.Second, 900 * time.Millisecond},
		{"behind it: not known", series("11111111111"), "", targets, nil, "", "", "", 15 * time.Second, 10 * time.Second},
		{"no targets", series("1"), "", "", redis, "", "", "", assumedScrape, assumedScrape},
		{"a query that Prometheus refuses", "refused", "", targets, redis, "", "", "parse error", time.Second, 900 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{targets: c.targets, series: c.behind, ranges: map[string]string{"up": "", serviceUp: ""}}
			if c.answer != "refused" {
				f.ranges["min(redis_up)"] = c.answer
			}
			f.ranges["exporter"] = c.exporter
			m := monitorOf(t, f, func(cfg *Config) {
				cfg.SeenBy = map[string]drills.SeenBy{"redis": {Service: "min(redis_up)", Exporter: "exporter"}}
			})
			evs := m.seen(t.Context(), drills.Interval{From: from, To: from.Add(10 * time.Second)})
			if len(evs) != 1 || evs[0].Kind != drills.EvSeen {
				t.Fatalf("%+v", evs)
			}
			s := *evs[0].Seen
			if c.states != "" && s.States != c.states || c.exporters != "" && s.Exporters != c.exporters {
				t.Errorf("states %q, exporters %q; want %q, %q", s.States, s.Exporters, c.states, c.exporters)
			}
			if s.Scrape.D() != c.scrape || s.Late.D() != c.late || !strings.Contains(s.Error, c.failed) || (c.failed == "") != (s.Error == "") {
				t.Errorf("scrape %s, late %s (%s), error %q", s.Scrape, s.Late, s.How, s.Error)
			}
		})
	}
}

func TestSeenWindow(t *testing.T) {
	now := time.Now()
	timing := drills.Timing{Steady: drills.Interval{From: now.Add(-time.Minute), To: now.Add(-50 * time.Second)}, T0: drills.At(now.Add(-45 * time.Second))}
	if w := seenWindow(timing, now); !w.From.Equal(timing.Steady.From) || !w.To.Equal(now) {
		t.Errorf("%v", w)
	}
}
