package experiments

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// What the faults of WebSocket clients that fall silent have in common.

// maxQuiet clients of one step: every one of them is looked at ten times a second.
const maxQuiet = 5000

// quietArgs are the arguments of clients.slow, clients.half-open and clients.expired.
type quietArgs struct {
	Kind        string          `json:"kind"`
	Connections int             `json:"connections"`
	Targets     []string        `json:"targets"` // host:port
	Path        string          `json:"path"`
	Network     string          `json:"network"`
	Login       *drills.Login   `json:"login,omitempty"` // secrets stay references until the generator gets them
	Topic       string          `json:"topic,omitempty"`
	Ramp        drills.Duration `json:"ramp"`
	Buffer      int             `json:"buffer,omitempty"`
	Read        int             `json:"read,omitempty"`
	Ask         drills.Duration `json:"ask,omitempty"`
	Life        drills.Duration `json:"life,omitempty"`
	Prove       drills.Duration `json:"prove"`
}

// quiet is one change for all targets: one process holds the clients and spreads them over the targets.
func quiet(s drills.Scene, verb string, port int, args quietArgs) ([]drills.Change, error) {
	var err error
	if args.Network, err = sharedNetwork(args.Network, s.Targets); err != nil {
		return nil, err
	}
	for _, m := range s.Targets {
		addr, err := loadAddress(s, m, args.Network, port)
		if err != nil {
			return nil, err
		}
		args.Targets = append(args.Targets, addr)
	}
	c, err := change(s, s.Targets[0], plan{class: drills.ClassUndo, do: verb, undo: "clients.release"}, args, nil)
	return []drills.Change{c}, err
}

// clients checks what both faults have.
func (kind complaint) clients(n int, path string, port int, ramp, prove drills.Duration) error {
	switch {
	case n < 1 || n > maxQuiet:
		return kind.bad("connections: must be between 1 and %d, found %d", maxQuiet, n)
	case len(path) == 0 || path[0] != '/':
		return kind.bad("path: must be the path of the WebSocket endpoint, such as /ws/connect, found %q", path)
	case port < 0 || port > 65535:
		return kind.bad("port: %d is not a port", port)
	case ramp < 0:
		return kind.bad("ramp: %s is negative", ramp)
	case prove <= 0 || prove.D() > 2*time.Minute:
		return kind.bad("prove: must be above zero and at most 2m, found %s", prove)
	}
	return nil
}
