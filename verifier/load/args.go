package load

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Args are the arguments of load.websocket, and the spec of its generator once secrets are expanded.
type Args struct {
	Connections int             `json:"connections"`
	Targets     []string        `json:"targets"` // host:port; connections are spread over them in turn
	Path        string          `json:"path"`
	Network     string          `json:"network,omitempty"` // where the generator runs; empty: beside the orchestrator
	Login       *drills.Login   `json:"login,omitempty"`   // one token for all connections
	Publish     *Publish        `json:"publish,omitempty"`
	Ramp        drills.Duration `json:"ramp"`                // time over which the connections are opened
	TLS         *drills.TLS     `json:"tls,omitempty"`       // wss:// with these settings; nil: ws://
	Compress    bool            `json:"compress,omitempty"`  // offer permessage-deflate
	Engine      string          `json:"engine,omitempty"`    // EngineEpoll or EngineLibrary; empty: what fits
	Shares      int             `json:"processes,omitempty"` // zero: as many as the limit of open files asks for
	Sources     []string        `json:"sources,omitempty"`   // own addresses to connect from, in turn; empty: chosen
	Storm       drills.Duration `json:"storm,omitempty"`     // so long after the ramp all connections are cut at once; zero: never
	Realtime    bool            `json:"realtime,omitempty"`  // SCHED_FIFO for the receive loops, where allowed
	Lease       drills.Duration `json:"lease,omitempty"`     // the generator ends when it hears nothing for so long; zero: never
}

// Publish says what is sent while the connections are held.
type Publish struct {
	URL   string  `json:"url"`
	Rate  float64 `json:"rate"`            // messages a second
	Topic string  `json:"topic,omitempty"` // empty: to every connection, without subscribing
	Size  int     `json:"size"`            // bytes of content
}

// Engines.
const (
	EngineEpoll   = "epoll"   // the raw loop: plain ws://
	EngineLibrary = "library" // gobwas/ws, a goroutine per connection: TLS and compression too
)

// maxRate bounds what the schedule is made for.
const maxRate = 10_000

func (a Args) check() error {
	var errs []error
	bad := func(format string, v ...any) { errs = append(errs, fmt.Errorf(format, v...)) }
	if a.Connections < 1 {
		bad("connections: %d, want at least 1", a.Connections)
	}
	if len(a.Targets) == 0 {
		bad("targets: none given")
	}
	if !strings.HasPrefix(a.Path, "/") {
		bad("path: %q does not begin with a slash", a.Path)
	}
	if a.Ramp < 0 || a.Lease < 0 {
		bad("ramp and lease cannot be negative")
	}
	if a.Storm < 0 || a.Shares < 0 {
		bad("storm and processes cannot be negative")
	}
	switch {
	case a.Engine != "" && a.Engine != EngineEpoll && a.Engine != EngineLibrary:
		bad("engine: %q, want %s or %s", a.Engine, EngineEpoll, EngineLibrary)
	case a.Engine == EngineEpoll && (a.TLS != nil || a.Compress):
		bad("engine: %s speaks neither TLS nor compression", EngineEpoll)
	}
	if p := a.Publish; p != nil && (p.URL == "" || p.Rate <= 0 || p.Rate > maxRate) {
		bad("publish: needs a url and a rate above 0 and at most %d a second", maxRate)
	}
	return errors.Join(errs...)
}

// Readiness is the data of the generator's "ready" frame, sent once when the ramp is over.
type Readiness struct {
	Connected int       `json:"connected"`
	Wanted    int       `json:"wanted"`
	From      time.Time `json:"from"` // first connection held; the end of the ramp when there is none
	To        time.Time `json:"to"`   // last connection of the ramp tried
	// Of clients that fall silent; from and to are then when the first and the last of them did.
	Quiet  bool `json:"quiet,omitempty"`
	Silent int  `json:"silent,omitempty"` // whose silence is proven
}

// trouble is the data of an "error" frame: the generator could not begin.
type trouble struct {
	Text string `json:"text"`
}
