package load

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// QuietArgs are the arguments of clients.slow, clients.half-open and clients.expired, and the spec of their generator once secrets are expanded.
type QuietArgs struct {
	Kind        string          `json:"kind"`        // drills.SlowClients, drills.HalfOpenClients or drills.ExpiredClients
	Connections int             `json:"connections"` // over all targets
	Targets     []string        `json:"targets"`     // host:port; connections are spread over them in turn
	Path        string          `json:"path"`
	Network     string          `json:"network,omitempty"` // where the generator runs; empty: beside the orchestrator
	Login       *drills.Login   `json:"login,omitempty"`   // one token for all connections
	Topic       string          `json:"topic,omitempty"`   // that they subscribe to; empty: none
	Ramp        drills.Duration `json:"ramp"`              // time over which they connect, well-behaved until its end
	Buffer      int             `json:"buffer,omitempty"`  // receive buffer in bytes; zero: the engine's
	Read        int             `json:"read,omitempty"`    // bytes a second that each slow client goes on reading
	Ask         drills.Duration `json:"ask,omitempty"`     // how often a half-open client asks whether the target still has it
	Life        drills.Duration `json:"life,omitempty"`    // of a token that is to expire, at most
	Prove       drills.Duration `json:"prove"`             // how long the proof may take after the ramp, or after the token's end
	Lease       drills.Duration `json:"lease,omitempty"`   // the generator ends when it hears nothing for so long; zero: never
}

func (a QuietArgs) check() error {
	var errs []error
	bad := func(format string, v ...any) { errs = append(errs, fmt.Errorf(format, v...)) }
	if all := []string{drills.SlowClients, drills.HalfOpenClients, drills.ExpiredClients}; !slices.Contains(all, a.Kind) {
		bad("kind: %q, want one of %q", a.Kind, all)
	}
	if a.Connections < 1 || len(a.Targets) == 0 || !strings.HasPrefix(a.Path, "/") {
		bad("connections, targets and a path that begins with a slash are needed")
	}
	if a.Ramp < 0 || a.Lease < 0 || a.Prove <= 0 || a.Buffer < 0 || a.Read < 0 {
		bad("ramp, lease, buffer and read cannot be negative, and prove must be above zero")
	}
	// The kernel counts this in whole seconds.
	if a.Kind == drills.HalfOpenClients && a.Ask.D() < time.Second {
		bad("ask: %s, want at least 1s", a.Ask)
	}
	if a.Kind == drills.ExpiredClients && (a.Login == nil || a.Life <= 0) {
		bad("login and life are needed where a token is to expire")
	}
	return errors.Join(errs...)
}

// plan is how the connections are opened: as those of a load that publishes nothing itself.
func (a QuietArgs) plan(t tokens) plan {
	args := Args{Connections: a.Connections, Targets: a.Targets, Path: a.Path, Ramp: a.Ramp, Login: a.Login}
	if a.Topic != "" {
		args.Publish = &Publish{Topic: a.Topic}
	}
	return plan{Args: args, count: a.Connections, tokens: t, receive: a.Buffer}
}
