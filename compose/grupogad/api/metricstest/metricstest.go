// Package metricstest reads metric values back in tests; by value, since a name alone proves nothing.
package metricstest

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Value is the value of the one series of name that has all the given label=value pairs: a counter's
// or gauge's value, a histogram's number of observations. A series that does not exist fails the test.
func Value(tb testing.TB, from prometheus.Gatherer, name string, labels ...string) float64 {
	tb.Helper()
	v, ok := Lookup(tb, from, name, labels...)
	if !ok {
		tb.Fatalf("no series %s%v", name, labels)
	}
	return v
}

// Lookup is Value for a series that may be missing.
func Lookup(tb testing.TB, from prometheus.Gatherer, name string, labels ...string) (float64, bool) {
	tb.Helper()
	families, err := from.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			pairs := map[string]bool{}
			for _, l := range m.Label {
				pairs[l.GetName()+"="+l.GetValue()] = true
			}
			if !hasAll(pairs, labels) {
				continue
			}
			if m.Histogram != nil {
				return float64(m.Histogram.GetSampleCount()), true
			}
			return m.Counter.GetValue() + m.Gauge.GetValue(), true
		}
	}
	return 0, false
}

func hasAll(pairs map[string]bool, want []string) bool {
	for _, w := range want {
		if !strings.Contains(w, "=") || !pairs[w] {
			return false
		}
	}
	return true
}
