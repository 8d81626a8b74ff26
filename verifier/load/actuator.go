package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

// Dial connects to an address inside the system's networks.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

const (
	// readyLimit is what a generator may take beyond its ramp: starting it, logging in, the last handshakes.
	readyLimit = 30 * time.Second
	// stopLimit is what it may take to settle and hand over its result.
	stopLimit = 30 * time.Second
	// generatorLease: longer than any pause of a live orchestrator, short enough for a dead one's load to end.
	generatorLease = 10 * time.Second
)

// Actuator implements drills.Actuator for load.websocket, load.open and load.stop, and for clients.slow, clients.half-open,
// clients.expired and clients.release. A generator ends with its stream, so there is
// nothing to undo in another process than the one that started it.
type Actuator struct {
	launcher drills.Launcher
	expand   func(string) (string, error)
	log      *zap.Logger
	onEnd    func(change, why string) // nil: nobody wants to know

	mu   sync.Mutex
	runs map[string]*running // by change: the op's id without its .do or .undo
}

// NewActuator makes the actuator for the verbs load.* and clients.*. expand resolves ${…} references at the moment a generator gets
// its spec. dial is not used: the generator connects from its own place in the network.
func NewActuator(launcher drills.Launcher, _ Dial, expand func(string) (string, error), log *zap.Logger) *Actuator {
	if expand == nil {
		expand = func(s string) (string, error) { return s, nil }
	}
	if log == nil {
		log = zap.NewNop()
	}
	return &Actuator{launcher: launcher, expand: expand, log: log, runs: map[string]*running{}}
}

// Apply implements drills.Actuator. The do is proven when at least one connection is held at the end of the ramp; its
// effect lies between the first connection and that end, its evidence is {connected, wanted}. The undo's evidence is
// drills.LoadMeasured.
func (a *Actuator) Apply(ctx context.Context, op drills.Op) (drills.Effect, error) {
	if err := ctx.Err(); err != nil {
		return drills.Effect{}, context.Cause(ctx)
	}
	switch op.Verb {
	case "load.websocket":
		return a.begin(ctx, op)
	case "load.open":
		return a.beginOpen(ctx, op)
	case "clients.slow", "clients.half-open", "clients.expired":
		return a.beginQuiet(ctx, op)
	case "load.stop", "clients.release":
		return a.end(ctx, op)
	}
	return drills.Effect{}, drills.Errorf(drills.Internal, "", "load: there is no verb %q", op.Verb)
}

// Present implements drills.Actuator: the generator's stream is alive.
func (a *Actuator) Present(ctx context.Context, op drills.Op) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, context.Cause(ctx)
	}
	r := a.find(op)
	return r != nil && r.alive(), nil
}

// changeOf names the change that an op belongs to: its do and its undo differ in the end of their ids only.
func changeOf(op drills.Op) string {
	if op.ID == "" {
		return "target " + op.Target
	}
	return strings.TrimSuffix(strings.TrimSuffix(op.ID, ".do"), ".undo")
}

func (a *Actuator) find(op drills.Op) *running {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.runs[changeOf(op)]
}

func (a *Actuator) begin(ctx context.Context, op drills.Op) (drills.Effect, error) {
	if r := a.find(op); r != nil {
		return r.effect()
	}
	var args Args
	if err := op.Decode(&args); err != nil {
		return drills.Effect{}, err
	}
	if err := args.check(); err != nil {
		return drills.Effect{}, drills.Wrap(drills.Input, err, "load.websocket", "check the step's `with:`")
	}
	spec, err := a.spec(args)
	if err != nil {
		return drills.Effect{}, err
	}
	return a.launch(ctx, op, generatorProcess{agent: "ws-load", network: args.Network, ramp: args.Ramp.D(), spec: spec, realtime: args.Realtime})
}

// generatorProcess is what it takes to start one.
type generatorProcess struct {
	agent, network string
	ramp           time.Duration
	spec           json.RawMessage
	realtime       bool   // may put its threads under SCHED_FIFO
	deaf           bool   // may attach filters to its sockets
	onEnd          func() // it ended without being asked to; may be nil
}

// launch starts a generator, hands it its spec and waits until its ramp is over.
func (a *Actuator) launch(ctx context.Context, op drills.Op, g generatorProcess) (drills.Effect, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, g.ramp+readyLimit, fmt.Errorf("the load generator was not ready %s after its ramp of %s", readyLimit, g.ramp))
	defer cancel()
	place := drills.Place{Kind: drills.PlaceNetwork, Network: g.network, Name: g.agent}
	if g.network == "" {
		place = drills.Place{Kind: drills.PlaceHost, Name: g.agent}
	}
	place.Realtime, place.Deaf = g.realtime, g.deaf
	stream, err := a.launcher.Start(ctx, place, []string{"_agent", g.agent})
	if err != nil {
		return drills.Effect{}, fmt.Errorf("start the load generator: %w", err)
	}
	r := follow(stream, a.log, g.onEnd)
	a.mu.Lock()
	a.runs[changeOf(op)] = r
	a.mu.Unlock()
	if err := stream.Send(drills.Frame{Type: "spec", Data: g.spec}); err != nil {
		_ = r.close(ctx)
		return drills.Effect{}, fmt.Errorf("%w (handing it its spec: %w)", r.complaint(), err)
	}
	return r.awaitReady(ctx)
}

// spec is the arguments with their secrets in place.
func (a *Actuator) spec(args Args) (json.RawMessage, error) {
	args.Lease = drills.Duration(generatorLease)
	var errs []error
	resolve := func(what string, s *string) {
		v, err := a.expand(*s)
		if err != nil {
			errs = append(errs, fmt.Errorf("load.websocket: %s: %w", what, err))
		}
		*s = v
	}
	if args.Login != nil {
		l := *args.Login // the op keeps its references
		resolve("login url", &l.URL)
		resolve("login username", &l.Username)
		resolve("login password", &l.Password)
		args.Login = &l
	}
	if args.Publish != nil {
		p := *args.Publish
		resolve("publish url", &p.URL)
		args.Publish = &p
	}
	secure, err := args.TLS.Expanded(a.expand)
	if err != nil {
		errs = append(errs, fmt.Errorf("load.websocket: tls: %w", err))
	}
	args.TLS = secure
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return json.Marshal(args)
}

func (a *Actuator) end(ctx context.Context, op drills.Op) (drills.Effect, error) {
	r := a.find(op)
	if r == nil {
		now := time.Now()
		return drills.Effect{From: now, To: now, Source: source, Skipped: "this process holds no such load; a generator ends with the process that started it"}, nil
	}
	return r.stop(ctx)
}
