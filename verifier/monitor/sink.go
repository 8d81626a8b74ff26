package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// notification is one delivery to the receiver, in Alertmanager's webhook terms.
type notification struct {
	ReceivedAt stamp           `json:"received_at"`
	Status     string          `json:"status"`
	Alerts     []notifiedAlert `json:"alerts"`
}

// notifiedAlert is one alert of a delivery. StartsAt is when Prometheus made it fire.
type notifiedAlert struct {
	Status   string            `json:"status"` // firing | resolved
	Labels   map[string]string `json:"labels"`
	StartsAt time.Time         `json:"startsAt"`
}

// stamp reads a time as RFC 3339 text or as a number of Unix nanoseconds.
type stamp struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (s *stamp) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`"`)) {
		return json.Unmarshal(b, &s.Time)
	}
	ns, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return fmt.Errorf("%s is neither a time in RFC 3339 nor Unix nanoseconds", b)
	}
	s.Time = time.Unix(0, ns).UTC()
	return nil
}

// sinkClient reads a webhook sink's GET /notifications?since=<unix ns>.
type sinkClient struct{ *endpoint }

// notifications implements sinkSource.
func (s *sinkClient) notifications(ctx context.Context, since time.Time) ([]notification, error) {
	var out []notification
	err := s.get(ctx, "/notifications?since="+strconv.FormatInt(since.UnixNano(), 10), &out)
	return out, err
}
