package experiments

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// HalfOpenSockets are WebSocket clients that behave until all of them are there, and then vanish without a word: no FIN, no
// reset, no answer to anything. Only their own kernel still has the connections, and the target.
type HalfOpenSockets struct {
	Connections int             `yaml:"connections" json:"connections"` // over all targets
	Path        string          `yaml:"path" json:"path"`
	Port        int             `yaml:"port" json:"port,omitempty"`       // default: the component's data port
	Network     string          `yaml:"network" json:"network,omitempty"` // default: the one network of the targets
	Login       *drills.Login   `yaml:"login" json:"login,omitempty"`
	Topic       string          `yaml:"topic" json:"topic,omitempty"` // that they subscribe to; default none
	Ramp        drills.Duration `yaml:"ramp" json:"ramp"`             // time over which they connect
	Ask         drills.Duration `yaml:"ask" json:"ask"`               // how often each finds out whether the target still has it
	Prove       drills.Duration `yaml:"prove" json:"prove"`           // how long the proof may take
}

func halfOpenSocketsKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "half-open-sockets",
		Summary:  "WebSocket clients that vanish without a word, and count how long the target keeps them",
		Class:    drills.ClassUndo,
		Verbs:    []string{"clients.half-open", "clients.release"},
		Duration: "required",
		Proof:    "every client's socket is established and has left at least one segment of the target unanswered, as the kernel counts",
		Undo:     "the clients reset their connections; so does the kernel when their process ends",
	}, func() *HalfOpenSockets {
		second := drills.Duration(time.Second)
		return &HalfOpenSockets{Connections: 100, Ramp: 2 * second, Ask: second, Prove: 10 * second}
	})
}

// Validate checks the parameters.
func (f *HalfOpenSockets) Validate() error {
	bad := complaint("half-open-sockets")
	if err := bad.clients(f.Connections, f.Path, f.Port, f.Ramp, f.Prove); err != nil {
		return err
	}
	if f.Ask.D() < time.Second || f.Ask.D()%time.Second != 0 || f.Ask.D() > time.Minute {
		return bad.bad("ask: must be whole seconds, from 1s to 1m, found %s", f.Ask)
	}
	return bad.login(f.Login)
}

// Plan is one change for all targets.
func (f *HalfOpenSockets) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "half-open-sockets holds its connections"); err != nil {
		return nil, err
	}
	return quiet(s, "clients.half-open", f.Port, quietArgs{
		Kind: drills.HalfOpenClients, Connections: f.Connections, Path: f.Path, Network: f.Network, Login: f.Login, Topic: f.Topic,
		Ramp: f.Ramp, Ask: f.Ask, Prove: f.Prove,
	})
}
