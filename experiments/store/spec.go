package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// Dial reaches an address inside the system's networks from wherever this process runs.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// Spec is one fault on one store. In a journal its secrets are references; an agent gets them expanded, on stdin.
type Spec struct {
	Fault    string          `json:"fault"`
	Mark     string          `json:"mark"` // tells apart the same act in two runs
	For      drills.Duration `json:"for,omitempty"`
	Redis    *Redis          `json:"redis,omitempty"`
	Postgres *Postgres       `json:"postgres,omitempty"`
	With     json.RawMessage `json:"with,omitempty"` // the fault's own parameters
	// Before is what was read before the intent: what the undo puts back, and what the deed sets.
	Before map[string]string `json:"before,omitempty"`
	Lease  drills.Duration   `json:"lease,omitempty"` // of the agent; zero: until the end of its stream
}

// Redis is how one data node is entered.
type Redis struct {
	Address  string      `json:"address"` // host:port
	Username string      `json:"username,omitempty"`
	Password string      `json:"password,omitempty"`
	TLS      *drills.TLS `json:"tls,omitempty"`
}

// Postgres is how a server is entered: the DSN, with Address (host:port) of one member in place of its hosts where given.
type Postgres struct {
	DSN     string      `json:"dsn"`
	Address string      `json:"address,omitempty"`
	TLS     *drills.TLS `json:"tls,omitempty"`
}

// Expanded is a copy with every reference to a secret resolved.
func (s Spec) Expanded(expand func(string) (string, error)) (Spec, error) {
	var err error
	put := func(p *string) {
		if err == nil && strings.Contains(*p, "${") {
			*p, err = expand(*p)
		}
	}
	files := func(t *drills.TLS) (out *drills.TLS) {
		if err == nil {
			out, err = t.Expanded(expand)
		}
		return out
	}
	if s.Redis != nil {
		r := *s.Redis
		put(&r.Username)
		put(&r.Password)
		r.TLS = files(r.TLS)
		s.Redis = &r
	}
	if s.Postgres != nil {
		p := *s.Postgres
		put(&p.DSN)
		p.TLS = files(p.TLS)
		s.Postgres = &p
	}
	return s, err
}

// with decodes the fault's own parameters, refusing unknown ones.
func (s Spec) with(into any) error {
	if len(s.With) == 0 {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(string(s.With)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s: parameters: %w", s.Fault, err)
	}
	return nil
}

// Name is what our sessions and keys of one act are called in the store, so that any process finds them again.
func (s Spec) Name() string {
	sum := sha256.Sum256([]byte(s.Mark))
	return "simulacro-" + hex.EncodeToString(sum[:8])
}

// Applied is the data of "ready": the bracket of the deed, CLOCK_MONOTONIC.
type Applied struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Beat is the data of "beat": whether the effect is proven by now, and the numbers behind it.
type Beat struct {
	Proven bool           `json:"proven"`
	Facts  map[string]any `json:"facts,omitempty"`
}

// Done is the data of "done": why it ended, and the bracket of the undo. Skipped says why there was nothing to undo.
type Done struct {
	Why     string `json:"why"`
	From    int64  `json:"from"`
	To      int64  `json:"to"`
	Skipped string `json:"skipped,omitempty"`
	Beat    Beat   `json:"beat"`
}

// Failure is the data of "error".
type Failure struct {
	Message string `json:"message"`
}
