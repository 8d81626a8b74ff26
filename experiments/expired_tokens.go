package experiments

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// ExpiredTokens are WebSocket clients whose token expires while they are connected. They behave in every other way, do not renew
// it, and do not come back: whoever lets them stay serves somebody who may no longer be allowed in.
type ExpiredTokens struct {
	Connections int             `yaml:"connections" json:"connections"` // over all targets
	Path        string          `yaml:"path" json:"path"`
	Port        int             `yaml:"port" json:"port,omitempty"`       // default: the component's data port
	Network     string          `yaml:"network" json:"network,omitempty"` // default: the one network of the targets
	Login       *drills.Login   `yaml:"login" json:"login"`               // one token for all of them; its answer says how long it lives (expires_in)
	Topic       string          `yaml:"topic" json:"topic,omitempty"`     // that they subscribe to; default none
	Ramp        drills.Duration `yaml:"ramp" json:"ramp"`                 // time over which they connect
	Life        drills.Duration `yaml:"life" json:"life"`                 // of the token, at most: how long to wait for its end
	Prove       drills.Duration `yaml:"prove" json:"prove"`               // how long after that a handshake with it may still be accepted
}

func expiredTokensKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "expired-tokens",
		Summary:  "WebSocket clients whose token expires while they are connected, and count how long the target keeps them",
		Class:    drills.ClassUndo,
		Verbs:    []string{"clients.expired", "clients.release"},
		Duration: "required",
		Proof:    "a new handshake with the same token is refused (401 or 403) while they are connected",
		Undo:     "the clients close their connections; so does the kernel when their process ends",
	}, func() *ExpiredTokens {
		second := drills.Duration(time.Second)
		return &ExpiredTokens{Connections: 50, Ramp: 2 * second, Life: 60 * second, Prove: 15 * second}
	})
}

// Validate checks the parameters.
func (f *ExpiredTokens) Validate() error {
	bad := complaint("expired-tokens")
	if err := bad.clients(f.Connections, f.Path, f.Port, f.Ramp, f.Prove); err != nil {
		return err
	}
	switch {
	case f.Login == nil:
		return bad.bad("login: is required: the token comes from there")
	case f.Life <= f.Ramp || f.Life.D() > time.Hour:
		return bad.bad("life: must be longer than the ramp and at most 1h, found %s", f.Life)
	}
	return bad.login(f.Login)
}

// Plan is one change for all targets.
func (f *ExpiredTokens) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "expired-tokens holds its connections"); err != nil {
		return nil, err
	}
	return quiet(s, "clients.expired", f.Port, quietArgs{
		Kind: drills.ExpiredClients, Connections: f.Connections, Path: f.Path, Network: f.Network, Login: f.Login, Topic: f.Topic,
		Ramp: f.Ramp, Life: f.Life, Prove: f.Prove,
	})
}
