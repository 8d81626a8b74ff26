package experiments

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// SaturateRedis sends GETs and SETs of its own keys at a rate.
type SaturateRedis struct {
	Rate        float64         `yaml:"rate" json:"rate"` // commands a second
	Connections int             `yaml:"connections" json:"connections"`
	Pipeline    int             `yaml:"pipeline" json:"pipeline"` // commands in one round trip, at most
	Writes      drills.Share    `yaml:"writes" json:"writes"`     // share of SETs
	Keys        int             `yaml:"keys" json:"keys"`
	Size        int             `yaml:"size" json:"size"` // bytes of a value
	Timeout     drills.Duration `yaml:"timeout" json:"timeout"`
	Ramp        drills.Duration `yaml:"ramp" json:"ramp"`
	Via         string          `yaml:"via" json:"via"` // direct (default): to the targets; sentinel: new connections go where the Sentinels say
	Port        int             `yaml:"port" json:"port,omitempty"`
	Network     string          `yaml:"network" json:"network,omitempty"`
	Username    string          `yaml:"username" json:"username,omitempty"` // default: what the component's roles are asked with
	Password    string          `yaml:"password" json:"password,omitempty"`
}

// redisLoadKeys is the namespace of the load's keys; they are removed when it ends.
const redisLoadKeys = "simulacro:{run}:load:"

func saturateRedisKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "saturate-redis",
		Summary:  "Send GETs and SETs of own keys at a rate",
		Class:    drills.ClassUndo,
		Verbs:    []string{"load.open", "load.stop"},
		Duration: "required",
		Proof:    "connections on which a command was answered well, as the generator counted them",
		Undo:     "the generator is stopped and removes its keys, which expire in any case; it also ends when its stream closes",
	}, func() *SaturateRedis {
		return &SaturateRedis{
			Rate: 10_000, Connections: 16, Pipeline: 16, Writes: 0.2, Keys: 10_000, Size: 100, Via: "direct",
			Timeout: drills.Duration(time.Second), Ramp: drills.Duration(2 * time.Second),
		}
	})
}

// Validate checks the parameters.
func (f *SaturateRedis) Validate() error {
	const kind = complaint("saturate-redis")
	if err := kind.flow(f.Rate, f.Connections, f.Timeout, f.Ramp); err != nil {
		return err
	}
	switch {
	case f.Pipeline < 1 || f.Pipeline > 1000:
		return kind.bad("pipeline: must be between 1 (none) and 1000 commands, found %d", f.Pipeline)
	case f.Keys < 1 || f.Keys > 1_000_000:
		return kind.bad("keys: must be between 1 and 1000000, found %d", f.Keys)
	case f.Size < 1 || f.Size > 1<<20:
		return kind.bad("size: must be between 1 and 1048576 bytes, found %d", f.Size)
	case f.Writes < 0 || f.Writes > 1:
		return kind.bad("writes: must be a share such as 20%%")
	case f.Via != "direct" && f.Via != "sentinel":
		return kind.bad("via: must be direct or sentinel, found %q", f.Via)
	}
	return nil
}

// Plan is one change for all targets.
func (f *SaturateRedis) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "saturate-redis goes on"); err != nil {
		return nil, err
	}
	network, err := sharedNetwork(f.Network, s.Targets)
	if err != nil {
		return nil, err
	}
	spec := &drills.RedisLoad{Prefix: redisLoadKeys, Keys: f.Keys, Size: f.Size, Writes: f.Writes, Pipeline: f.Pipeline, Username: f.Username, Password: f.Password}
	var roles *drills.RoleSource
	if s.System != nil {
		roles = s.System.Components[s.Targets[0].Component].Roles
	}
	if roles != nil {
		spec.TLS = roles.TLS
		if f.Password == "" {
			spec.Username, spec.Password = roles.Username, roles.Password
		}
	}
	if f.Via == "sentinel" {
		if roles == nil || roles.From != "sentinel" {
			return nil, drills.Errorf(drills.Input, "use `via: direct`", "the roles of %s do not come from sentinel", s.Targets[0].Component)
		}
		spec.Sentinels, spec.Master, spec.Auth = roles.Addresses, roles.Master, roles.SentinelAuth
	} else {
		for _, m := range s.Targets {
			addr, err := loadAddress(s, m, network, f.Port)
			if err != nil {
				return nil, err
			}
			spec.Addresses = append(spec.Addresses, addr)
		}
	}
	c, err := openLoad(s, network, f.Ramp, "", drills.LoadFlow{Name: "redis", Rate: f.Rate, Connections: f.Connections, Timeout: f.Timeout, Redis: spec})
	return []drills.Change{c}, err
}
