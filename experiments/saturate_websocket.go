package experiments

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// SaturateWebSocket opens many WebSocket connections to the targets and publishes messages that all of them expect.
type SaturateWebSocket struct {
	Connections int             `yaml:"connections" json:"connections"` // over all targets
	Path        string          `yaml:"path" json:"path"`
	Port        int             `yaml:"port" json:"port,omitempty"`       // default: the component's data port
	Network     string          `yaml:"network" json:"network,omitempty"` // default: the one network of the targets
	Ramp        drills.Duration `yaml:"ramp" json:"ramp"`                 // time over which connections are opened
	Login       *drills.Login   `yaml:"login" json:"login,omitempty"`
	Publish     *Publish        `yaml:"publish" json:"publish,omitempty"`
}

// Publish is what is sent while the connections are held. Every connection expects every message.
type Publish struct {
	URL   string  `yaml:"url" json:"url"`
	Rate  float64 `yaml:"rate" json:"rate"` // messages a second
	Topic string  `yaml:"topic" json:"topic,omitempty"`
	Size  int     `yaml:"size" json:"size"` // payload bytes
}

// maxConnections keeps one generator below its own limit of sockets.
const maxConnections = 60000

func saturateWebSocketKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "saturate-websocket",
		Summary:  "Hold many WebSocket connections to the targets and publish messages that all of them expect",
		Class:    drills.ClassUndo,
		Verbs:    []string{"load.websocket", "load.stop"},
		Duration: "required",
		Proof:    "connections held at the same time and frames received, as the generator counted them",
		Undo:     "the generator is stopped; it also ends when its stream closes",
	}, func() *SaturateWebSocket {
		return &SaturateWebSocket{Connections: 5000, Ramp: drills.Duration(10 * time.Second)}
	})
}

// Validate checks the parameters.
func (f *SaturateWebSocket) Validate() error {
	bad := func(format string, args ...any) error {
		return drills.Errorf(drills.Input, "", "saturate-websocket: "+format, args...)
	}
	switch {
	case f.Connections < 1 || f.Connections > maxConnections:
		return bad("connections: must be between 1 and %d, found %d", maxConnections, f.Connections)
	case !strings.HasPrefix(f.Path, "/"):
		return bad("path: must be the path of the WebSocket endpoint, such as /ws/connect, found %q", f.Path)
	case f.Port < 0 || f.Port > 65535:
		return bad("port: %d is not a port", f.Port)
	case f.Ramp < 0:
		return bad("ramp: %s is negative", f.Ramp)
	case f.Login != nil && (f.Login.URL == "" || f.Login.Username == "" || f.Login.Password == ""):
		return bad("login: needs url, username and password")
	case f.Publish == nil:
		return nil
	case f.Publish.URL == "":
		return bad("publish: url: is required")
	case f.Publish.Rate <= 0 || f.Publish.Rate > 10000:
		return bad("publish: rate: must be above 0 and at most 10000 messages a second, found %g", f.Publish.Rate)
	case f.Publish.Size < 0 || f.Publish.Size > 1<<20:
		return bad("publish: size: must be at most 1048576 bytes, found %d", f.Publish.Size)
	}
	return nil
}

// loadWebSocketArgs are the arguments of load.websocket.
type loadWebSocketArgs struct {
	Connections int             `json:"connections"`
	Targets     []string        `json:"targets"` // host:port
	Path        string          `json:"path"`
	Network     string          `json:"network"`
	Login       *drills.Login   `json:"login,omitempty"` // secrets stay references until the generator gets them
	Publish     *Publish        `json:"publish,omitempty"`
	Ramp        drills.Duration `json:"ramp"`
}

// Plan is one change for all targets: one generator spreads its connections over them.
func (f *SaturateWebSocket) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "saturate-websocket holds its connections"); err != nil {
		return nil, err
	}
	network, err := f.network(s.Targets)
	if err != nil {
		return nil, err
	}
	args := loadWebSocketArgs{Connections: f.Connections, Path: f.Path, Network: network, Login: f.Login, Publish: f.Publish, Ramp: f.Ramp}
	for _, m := range s.Targets {
		if err := running(m); err != nil {
			return nil, err
		}
		port, err := f.port(s, m)
		if err != nil {
			return nil, err
		}
		args.Targets = append(args.Targets, net.JoinHostPort(m.Networks[network], strconv.Itoa(port)))
	}
	c, err := change(s, s.Targets[0], plan{class: drills.ClassUndo, do: "load.websocket", undo: "load.stop"}, args, nil)
	return []drills.Change{c}, err
}

// network is the one asked for, else the only one that the targets share; every target must have an address in it.
func (f *SaturateWebSocket) network(targets []drills.Member) (string, error) {
	var shared []string
	for _, name := range slices.Sorted(maps.Keys(targets[0].Networks)) {
		if !slices.ContainsFunc(targets, func(m drills.Member) bool { return m.Networks[name] == "" }) {
			shared = append(shared, name)
		}
	}
	switch {
	case f.Network != "" && slices.Contains(shared, f.Network):
		return f.Network, nil
	case f.Network != "":
		return "", drills.Errorf(drills.Blocked, "", "not every target is in network %q; they share %v", f.Network, shared)
	case len(shared) == 1:
		return shared[0], nil
	}
	return "", drills.Errorf(drills.Input, "set `network:` in the step's `with:`", "the targets share %d networks (%v), so the load's network must be named", len(shared), shared)
}

func (f *SaturateWebSocket) port(s drills.Scene, m drills.Member) (int, error) {
	if f.Port > 0 {
		return f.Port, nil
	}
	if s.System != nil {
		if r := s.System.Components[m.Component].Roles; r != nil && r.Port > 0 {
			return r.Port, nil
		}
	}
	return 0, drills.Errorf(drills.Input, "set `port:` in the step's `with:`", "the port of %s is not known", m.Name)
}
