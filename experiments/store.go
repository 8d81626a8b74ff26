package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/store"
)

const (
	storePrefix = "store."
	verbEnd     = storePrefix + "end"
	// storeReady bounds the deed: opening a thousand connections takes a while.
	storeReady = time.Minute
	// storeGrace is how long an agent may take to undo itself when the guard ends it: an index has to be built again.
	storeGrace = 30 * time.Second
	// storeLook bounds one inspection.
	storeLook = 10 * time.Second
)

// storeArgs are the arguments of every store.* verb, of the undo too: whoever has them can undo.
type storeArgs struct {
	Network string          `json:"network,omitempty"` // where the agent runs
	Prove   drills.Duration `json:"prove,omitempty"`   // how long to wait for the effect to show
	Once    bool            `json:"once,omitempty"`    // nothing is held
	Spec    store.Spec      `json:"spec"`
}

// Stores is the actuator of store.*: what clients do to a Redis or a PostgreSQL, held by an agent in a network of the system.
type Stores struct {
	launcher drills.Launcher
	dial     Dial
	expand   Expand
	log      *zap.Logger
	onEnd    func(opID, why string)

	once drills.Once
	mu   sync.Mutex
	held map[string]*grip // by mark
}

// NewStores starts agents through the launcher and looks for itself through dial; expand resolves secrets at the moment of use.
// onEnd (may be nil) is told when a fault ended without our undo.
func NewStores(l drills.Launcher, dial Dial, expand Expand, log *zap.Logger, onEnd func(opID, why string)) *Stores {
	if log == nil {
		log = zap.NewNop()
	}
	if onEnd == nil {
		onEnd = func(string, string) {}
	}
	return &Stores{launcher: l, dial: dial, expand: expand, log: log.Named("store"), onEnd: onEnd, held: map[string]*grip{}}
}

// args reads an op's arguments; the spec's secrets are still references.
func (s *Stores) args(op drills.Op) (storeArgs, error) {
	var a storeArgs
	if err := op.Decode(&a); err != nil {
		return a, err
	}
	if a.Spec.Mark == "" {
		return a, fmt.Errorf("%s: the op has no mark", op.Verb)
	}
	return a, nil
}

// open makes the fault in this process, over our own dial.
func (s *Stores) open(a storeArgs) (store.Fault, error) {
	spec, err := a.Spec.Expanded(s.expand.value)
	if err != nil {
		return nil, err
	}
	return store.Open(spec, store.Dial(s.dial))
}

// Prepare asks the store whether it may be done, and writes what the undo needs into both ops.
func (s *Stores) Prepare(ctx context.Context, c drills.Change) (drills.Change, error) {
	a, err := s.args(c.Do)
	if err != nil {
		return c, err
	}
	f, err := s.open(a)
	if err != nil {
		return c, err
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(ctx, storeLook)
	defer cancel()
	if a.Spec.Before, err = f.Check(ctx); err != nil {
		return c, err
	}
	if c.Do.Args, err = json.Marshal(a); err != nil {
		return c, err
	}
	if c.Undo.Verb != "" {
		c.Undo.Args = c.Do.Args
	}
	return c, nil
}

// Apply does a fault, at most once per op, or store.end, which is idempotent.
func (s *Stores) Apply(ctx context.Context, op drills.Op) (drills.Effect, error) {
	if ctx.Err() != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	a, err := s.args(op)
	if err != nil {
		return drills.Effect{}, err
	}
	if op.Verb == verbEnd {
		return s.end(ctx, a)
	}
	return s.once.Do(ctx, op.ID+" "+a.Spec.Mark, func() (drills.Effect, error) {
		e, err := s.begin(ctx, op, a)
		if err != nil {
			err = fmt.Errorf("%s: %w", op.Verb, err)
		}
		return e, err
	})
}

// Present looks on a fresh connection of our own, whatever the agent says.
func (s *Stores) Present(ctx context.Context, op drills.Op) (bool, error) {
	if ctx.Err() != nil {
		return false, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	a, err := s.args(op)
	if err != nil {
		return false, err
	}
	return s.present(ctx, a)
}

func (s *Stores) present(ctx context.Context, a storeArgs) (bool, error) {
	f, err := s.open(a)
	if err != nil {
		return false, err
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(ctx, storeLook)
	defer cancel()
	there, err := f.Present(ctx)
	if err != nil {
		return there, fmt.Errorf("inspect %s: %w", a.Spec.Fault, err)
	}
	return there, nil
}

// begin starts an agent and waits for the deed and for its proof. It keeps the agent whatever happens once it may have done
// something, so that the undo finds it.
func (s *Stores) begin(ctx context.Context, op drills.Op, a storeArgs) (drills.Effect, error) {
	spec, err := a.Spec.Expanded(s.expand.value)
	if err != nil {
		return drills.Effect{}, err
	}
	spec.Lease = drills.Duration(helperLease)
	clock, began := drills.NewClock(), drills.Monotonic()
	place := drills.Place{Kind: drills.PlaceNetwork, Network: a.Network, Name: spec.Fault, Grace: drills.Duration(storeGrace)}
	stream, err := s.launcher.Start(ctx, place, []string{"_agent", "store-fault"})
	if err != nil {
		return drills.Effect{}, fmt.Errorf("start an agent in network %s: %w", a.Network, err)
	}
	h := newGrip(op.ID, stream)
	s.mu.Lock()
	s.held[a.Spec.Mark] = h
	s.mu.Unlock()
	go h.read(s.onEnd)
	if err := sendSpec(stream, spec); err != nil {
		return drills.Effect{}, err
	}
	if err := h.await(ctx, h.ready, storeReady); err != nil {
		return drills.Effect{}, err
	}
	answered := drills.Monotonic()
	if err := h.await(ctx, h.proof, a.Prove.D()); err != nil && !errors.Is(err, errLate) {
		return drills.Effect{}, err
	}
	e := h.effect(clock, began, answered)
	if a.Once {
		_, err = h.stop(ctx)
	}
	return e, err
}

// end undoes through the agent that holds the fault, and for itself when there is none, or when it left something.
func (s *Stores) end(ctx context.Context, a storeArgs) (drills.Effect, error) {
	s.mu.Lock()
	h := s.held[a.Spec.Mark]
	s.mu.Unlock()
	if h != nil {
		e, err := h.stop(ctx)
		if err != nil {
			return e, err
		}
		if there, err := s.present(ctx, a); err == nil && !there {
			return e, nil
		}
	}
	return s.orphan(ctx, a)
}

// orphan undoes in this process, over our own dial: the agent is gone, or did not do it.
func (s *Stores) orphan(ctx context.Context, a storeArgs) (drills.Effect, error) {
	f, err := s.open(a)
	if err != nil {
		return drills.Effect{}, err
	}
	defer f.Close()
	e := drills.Effect{From: time.Now().UTC(), Source: "store", Proven: true}
	e.Skipped, err = f.End(ctx)
	e.To = time.Now().UTC()
	if err != nil {
		return drills.Effect{}, fmt.Errorf("%s of %s: %w", verbEnd, a.Spec.Fault, err)
	}
	if e.Skipped != "" {
		if there, err := f.Present(ctx); err != nil || there {
			return drills.Effect{}, errors.Join(fmt.Errorf("%s is still there, although: %s", a.Spec.Fault, e.Skipped), err)
		}
	}
	return e, nil
}

// Close ends whatever is still held and waits for every goroutine of ours.
func (s *Stores) Close(ctx context.Context) error {
	s.mu.Lock()
	var all []*grip
	for _, h := range s.held {
		all = append(all, h)
	}
	s.mu.Unlock()
	var errs []error
	for _, h := range all {
		_, err := h.stop(ctx)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
