package experiments

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// SlowConsumers are WebSocket clients that subscribe, behave until all of them are there, and then read slowly or not at all.
// They publish nothing: what they do not read is what a load or the system itself sends meanwhile.
type SlowConsumers struct {
	Connections int             `yaml:"connections" json:"connections"` // over all targets
	Path        string          `yaml:"path" json:"path"`
	Port        int             `yaml:"port" json:"port,omitempty"`       // default: the component's data port
	Network     string          `yaml:"network" json:"network,omitempty"` // default: the one network of the targets
	Login       *drills.Login   `yaml:"login" json:"login,omitempty"`
	Topic       string          `yaml:"topic" json:"topic,omitempty"` // that they subscribe to; default none: what goes to everybody
	Ramp        drills.Duration `yaml:"ramp" json:"ramp"`             // time over which they connect
	Read        int             `yaml:"read" json:"read,omitempty"`   // bytes a second that each goes on reading
	Buffer      int             `yaml:"buffer" json:"buffer"`         // receive buffer of each, bytes
	Prove       drills.Duration `yaml:"prove" json:"prove"`           // how long to wait until all windows have been closed
}

func slowConsumersKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "slow-consumers",
		Summary:  "WebSocket clients that subscribe and then read slowly or not at all",
		Class:    drills.ClassUndo,
		Verbs:    []string{"clients.slow", "clients.release"},
		Duration: "required",
		Proof:    "every client's receive window was closed with bytes unread, as the kernel says",
		Undo:     "the clients reset their connections; so does the kernel when their process ends",
	}, func() *SlowConsumers {
		return &SlowConsumers{Connections: 50, Ramp: drills.Duration(2 * time.Second), Buffer: 4096, Prove: drills.Duration(15 * time.Second)}
	})
}

// Validate checks the parameters.
func (f *SlowConsumers) Validate() error {
	bad := complaint("slow-consumers")
	if err := bad.clients(f.Connections, f.Path, f.Port, f.Ramp, f.Prove); err != nil {
		return err
	}
	switch {
	case f.Buffer < 2048 || f.Buffer > 1<<20:
		return bad.bad("buffer: must be between 2048 and 1048576 bytes, found %d", f.Buffer)
	case f.Read < 0 || f.Read > 1<<20:
		return bad.bad("read: must be at most 1048576 bytes a second, found %d", f.Read)
	}
	return bad.login(f.Login)
}

// Plan is one change for all targets.
func (f *SlowConsumers) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "slow-consumers holds its connections"); err != nil {
		return nil, err
	}
	return quiet(s, "clients.slow", f.Port, quietArgs{
		Kind: drills.SlowClients, Connections: f.Connections, Path: f.Path, Network: f.Network, Login: f.Login, Topic: f.Topic,
		Ramp: f.Ramp, Buffer: f.Buffer, Read: f.Read, Prove: f.Prove,
	})
}
