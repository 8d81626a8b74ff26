package verifier

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/eevans-d/simulacro/drills"
)

// reading is what one reading of an instance's metrics says of one breaker. Counters that are not declared stay zero.
type reading struct {
	State    drills.BreakerState `json:"state"`
	Opened   float64             `json:"opened,omitempty"`
	Calls    float64             `json:"calls,omitempty"`
	Failures float64             `json:"failures,omitempty"`
	Rejected float64             `json:"rejected,omitempty"`
	Waited   float64             `json:"waited,omitempty"`
}

// breakerReader reads the metrics of one instance and keeps what they say of its breakers. The text of a good sample is
// JSON: breaker -> reading.
type breakerReader struct {
	URL      string                           `json:"url"`
	Every    drills.Duration                  `json:"every"`
	Timeout  drills.Duration                  `json:"timeout"`
	Breakers map[string]drills.BreakerMetrics `json:"breakers"`

	request request
}

func (r *breakerReader) open() error {
	client, dial, err := newHTTPClient(nil)
	r.request = request{client: client, dial: dial, method: http.MethodGet, url: r.URL}
	return err
}

func (r *breakerReader) check(ctx context.Context, _ int64) result {
	resp, body, bad := r.request.do(ctx)
	if bad != nil {
		return *bad
	}
	if resp.StatusCode != http.StatusOK {
		return ofStatus(resp.StatusCode, resp.Header)
	}
	text, err := readings(body, r.Breakers)
	if err != nil {
		return result{Malformed, clip(err.Error())}
	}
	return result{Good, text}
}

// readings takes the breakers' series out of metrics in Prometheus' text format.
func readings(body []byte, breakers map[string]drills.BreakerMetrics) (string, error) {
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("metrics: %w", err)
	}
	out := map[string]reading{}
	for name, b := range breakers {
		state, ok := valueOf(families[b.State], b.Labels)
		if !ok {
			return "", fmt.Errorf("breaker %s: no series %s with labels %v", name, b.State, b.Labels)
		}
		one := reading{State: stateOf(state, b)}
		for metric, into := range map[string]*float64{
			b.Opened: &one.Opened, b.Calls: &one.Calls, b.Failures: &one.Failures, b.Rejected: &one.Rejected, b.Waited: &one.Waited,
		} {
			if metric == "" {
				continue
			}
			if *into, ok = valueOf(families[metric], b.Labels); !ok {
				return "", fmt.Errorf("breaker %s: no series %s with labels %v", name, metric, b.Labels)
			}
		}
		out[name] = one
	}
	text, err := json.Marshal(out)
	return string(text), err
}

// stateOf translates the gauge: 2 is open and 1 half-open unless the system file says otherwise.
func stateOf(v float64, b drills.BreakerMetrics) drills.BreakerState {
	open, half := 2.0, 1.0
	if b.Open != nil {
		open = *b.Open
	}
	if b.HalfOpen != nil {
		half = *b.HalfOpen
	}
	switch v {
	case open:
		return drills.BreakerOpen
	case half:
		return drills.BreakerHalfOpen
	}
	return drills.BreakerClosed
}

// valueOf sums the series of a family that carry the labels.
func valueOf(f *dto.MetricFamily, labels map[string]string) (sum float64, found bool) {
	for _, m := range f.GetMetric() {
		if hasLabels(m, labels) {
			sum, found = sum+m.GetCounter().GetValue()+m.GetGauge().GetValue()+m.GetUntyped().GetValue(), true
		}
	}
	return sum, found
}

func hasLabels(m *dto.Metric, want map[string]string) bool {
	n := 0
	for _, l := range m.GetLabel() {
		if v, ok := want[l.GetName()]; ok && v == l.GetValue() {
			n++
		}
	}
	return n == len(want)
}
