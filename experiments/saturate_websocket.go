package experiments

import (
	"net"
	"slices"
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
	TLS         *drills.TLS     `yaml:"tls" json:"tls,omitempty"`             // wss:// with these settings
	Compress    bool            `yaml:"compress" json:"compress,omitempty"`   // offer permessage-deflate
	Engine      string          `yaml:"engine" json:"engine,omitempty"`       // epoll or library; default: epoll, library where TLS or compression is asked for
	Processes   int             `yaml:"processes" json:"processes,omitempty"` // default: as many as the limit of open files asks for
	Sources     []string        `yaml:"sources" json:"sources,omitempty"`     // own addresses to connect from, in turn
	Storm       drills.Duration `yaml:"storm" json:"storm,omitempty"`         // so long after the ramp all connections are cut at once, and come back
	Realtime    bool            `yaml:"realtime" json:"realtime,omitempty"`   // SCHED_FIFO for the receive loops, where allowed
}

// Publish is what is sent while the connections are held. Every connection expects every message.
type Publish struct {
	URL   string  `yaml:"url" json:"url"`
	Rate  float64 `yaml:"rate" json:"rate"` // messages a second
	Topic string  `yaml:"topic" json:"topic,omitempty"`
	Size  int     `yaml:"size" json:"size"` // payload bytes
}

func notAnAddress(s string) bool { return net.ParseIP(s) == nil }

// maxConnections is what was tried, with something to spare.
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
	case f.Engine != "" && f.Engine != "epoll" && f.Engine != "library":
		return bad("engine: must be epoll or library, found %q", f.Engine)
	case f.Engine == "epoll" && (f.TLS != nil || f.Compress):
		return bad("engine: epoll speaks neither TLS nor compression; leave it out, or say library")
	case f.Processes < 0 || f.Processes > 64:
		return bad("processes: must be between 1 and 64, or left out, found %d", f.Processes)
	case f.Storm < 0:
		return bad("storm: %s is negative", f.Storm)
	case slices.ContainsFunc(f.Sources, notAnAddress):
		return bad("sources: must be addresses, found %v", f.Sources)
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
	TLS         *drills.TLS     `json:"tls,omitempty"`
	Compress    bool            `json:"compress,omitempty"`
	Engine      string          `json:"engine,omitempty"`
	Processes   int             `json:"processes,omitempty"`
	Sources     []string        `json:"sources,omitempty"`
	Storm       drills.Duration `json:"storm,omitempty"`
	Realtime    bool            `json:"realtime,omitempty"`
}

// Plan is one change for all targets: one generator spreads its connections over them.
func (f *SaturateWebSocket) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "saturate-websocket holds its connections"); err != nil {
		return nil, err
	}
	network, err := sharedNetwork(f.Network, s.Targets)
	if err != nil {
		return nil, err
	}
	if f.Publish != nil {
		if err := loadAllowed(s, f.Publish.Rate); err != nil {
			return nil, err
		}
	}
	args := loadWebSocketArgs{
		Connections: f.Connections, Path: f.Path, Network: network, Login: f.Login, Publish: f.Publish, Ramp: f.Ramp, TLS: f.TLS, Compress: f.Compress,
		Engine: f.Engine, Processes: f.Processes, Sources: f.Sources, Storm: f.Storm, Realtime: f.Realtime,
	}
	for _, m := range s.Targets {
		if err := running(m); err != nil {
			return nil, err
		}
		addr, err := loadAddress(s, m, network, f.Port)
		if err != nil {
			return nil, err
		}
		args.Targets = append(args.Targets, addr)
	}
	c, err := change(s, s.Targets[0], plan{class: drills.ClassUndo, do: "load.websocket", undo: "load.stop"}, args, nil)
	return []drills.Change{c}, err
}
