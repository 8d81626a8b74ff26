package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// endpoint is one HTTP server, with its credentials, reached through the configured dial.
type endpoint struct {
	name   string
	base   string
	client *http.Client
}

// maxBody bounds an answer; a monitoring system with more than this to say is answered "too large".
const maxBody = 32 << 20

func newEndpoint(cfg Config, name string, e drills.Endpoint) (*endpoint, error) {
	var values [3]string
	for i, s := range []string{e.URL, e.Username, e.Password} {
		v, err := cfg.Expand(s)
		if err != nil {
			return nil, drills.Wrap(drills.Input, err, "monitoring."+name, "the reference must be set where simulacro runs")
		}
		values[i] = v
	}
	u, err := url.Parse(values[0])
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, drills.Errorf(drills.Input, "an address such as http://prometheus:9090", "monitoring.%s: %q is not an HTTP address", name, e.URL)
	}
	files, err := e.TLS.Expanded(cfg.Expand)
	if err != nil {
		return nil, drills.Wrap(drills.Input, err, "monitoring."+name+".tls", "the files must be readable where simulacro runs")
	}
	client, err := files.Config()
	if err != nil {
		return nil, drills.Wrap(drills.Input, err, "monitoring."+name, "give PEM files")
	}
	t := &http.Transport{DialContext: cfg.Dial, TLSClientConfig: client, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}
	c := &http.Client{Transport: basicAuth{user: values[1], password: values[2], next: t}}
	return &endpoint{name: name, base: strings.TrimRight(values[0], "/"), client: c}, nil
}

// basicAuth adds credentials where there are any, so that they are in no URL and no log.
type basicAuth struct {
	user, password string
	next           *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (b basicAuth) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.user != "" {
		r = r.Clone(r.Context())
		r.SetBasicAuth(b.user, b.password)
	}
	return b.next.RoundTrip(r)
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the transport.
func (b basicAuth) CloseIdleConnections() { b.next.CloseIdleConnections() }

// get reads path into v (nil: only the status counts, any 2xx).
func (e *endpoint) get(ctx context.Context, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base+path, nil)
	if err != nil {
		return err
	}
	res, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() // only read from
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return fmt.Errorf("%s: read answer: %w", e.name, err)
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s: %.200s", e.name, res.Status, body)
	}
	if v == nil {
		return nil
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s: answer to %s is not what was expected: %w", e.name, path, err)
	}
	return nil
}
