package experiments

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
	"github.com/eevans-d/simulacro/experiments/store"
)

// The verbs of the WAL actuator.
const (
	verbWALFill = "wal.fill"
	verbWALFree = "wal.free"
)

const (
	// walRefused bounds the writing until the server refuses.
	walRefused = 2 * time.Minute
	// walBack is how long a server may take, once there is space, to recover from its crash and take a write.
	walBack = 45 * time.Second
	walPoll = 250 * time.Millisecond
)

// walArgs are the arguments of both verbs: whoever has them can undo.
type walArgs struct {
	Spec      store.Spec  `json:"spec"`
	Disk      helper.Disk `json:"disk"`
	AtMost    int64       `json:"at_most"`    // bytes of WAL that we have it write
	StartedAt time.Time   `json:"started_at"` // of the member when the fault was planned
}

// WAL is the actuator of wal.*: it fills the volume of a PostgreSQL's WAL, through the actuator of resource.*, and sees the
// server refuse.
type WAL struct {
	disk, units drills.Actuator
	dial        Dial
	expand      Expand
	once        drills.Once
}

// NewWAL fills through disk (resource.disk, resource.release), starts a member that ended through units (unit.start), and
// enters the server through dial; expand resolves secrets at the moment of use.
func NewWAL(disk, units drills.Actuator, dial Dial, expand Expand) *WAL {
	return &WAL{disk: disk, units: units, dial: dial, expand: expand}
}

// walEvidence is the evidence of both effects.
type walEvidence struct {
	Space   json.RawMessage `json:"space,omitempty"` // what the file system says
	Refusal *store.Refusal  `json:"refusal,omitempty"`
	Started bool            `json:"started,omitempty"` // the undo had to start the member
	Waited  drills.Duration `json:"waited,omitempty"`  // from the space's return to a write that was taken
}

// walServer is the server whose WAL it is.
type walServer interface {
	Check(ctx context.Context) error
	Fill(ctx context.Context, most int64) (store.Refusal, error)
	Accepts(ctx context.Context) (ok bool, why string, err error)
	Close()
}

func (w *WAL) open(op drills.Op) (walArgs, walServer, error) {
	var a walArgs
	if err := op.Decode(&a); err != nil {
		return a, nil, err
	}
	if a.Spec.Mark == "" {
		return a, nil, fmt.Errorf("%s: the op has no mark", op.Verb)
	}
	spec, err := a.Spec.Expanded(w.expand.value)
	if err != nil {
		return a, nil, err
	}
	s, err := store.OpenWAL(spec, store.Dial(w.dial))
	return a, s, err
}

// Prepare asks the server whether it is a primary that takes writes.
func (w *WAL) Prepare(ctx context.Context, c drills.Change) (drills.Change, error) {
	_, s, err := w.open(c.Do)
	if err != nil {
		return c, err
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(ctx, storeLook)
	defer cancel()
	return c, s.Check(ctx)
}

// Apply does wal.fill, at most once per op, or wal.free, which is idempotent.
func (w *WAL) Apply(ctx context.Context, op drills.Op) (drills.Effect, error) {
	if ctx.Err() != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	a, s, err := w.open(op)
	if err != nil {
		return drills.Effect{}, err
	}
	defer s.Close()
	var e drills.Effect
	switch op.Verb {
	case verbWALFill:
		e, err = w.once.Do(ctx, op.ID+" "+a.Spec.Mark, func() (drills.Effect, error) { return w.fill(ctx, op, a, s) })
	case verbWALFree:
		e, err = w.free(ctx, op, a, s)
	default:
		err = fmt.Errorf("it is not a verb of the WAL actuator")
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", op.Verb, err)
	}
	return e, err
}

// Present tells whether the space is still held, or the server does not take writes.
func (w *WAL) Present(ctx context.Context, op drills.Op) (bool, error) {
	if ctx.Err() != nil {
		return false, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	a, s, err := w.open(op)
	if err != nil {
		return false, err
	}
	defer s.Close()
	release, err := a.release(op)
	if err != nil {
		return false, err
	}
	if there, err := w.disk.Present(ctx, release); err != nil || there {
		return there, err
	}
	ctx, cancel := context.WithTimeout(ctx, storeLook)
	defer cancel()
	ok, _, err := s.Accepts(ctx)
	return !ok, err
}

// fill takes the space first: then what the server still has of its own is soon used up.
func (w *WAL) fill(ctx context.Context, op drills.Op, a walArgs, s walServer) (drills.Effect, error) {
	take, err := drills.NewOp(verbDisk, op.Target, strainArgs{Mark: a.Spec.Mark, Disk: &a.Disk, Prove: strainProve})
	if err != nil {
		return drills.Effect{}, err
	}
	take.ID = op.ID
	clock := drills.NewClock()
	full, err := w.disk.Apply(ctx, take)
	if err != nil || !full.Proven {
		return full, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, walRefused, fmt.Errorf("PostgreSQL did not refuse within %s, although its volume is full", walRefused))
	defer cancel()
	r, err := s.Fill(ctx, a.AtMost)
	if err != nil {
		return drills.Effect{}, err
	}
	e := drills.Effect{From: clock.Time(r.From), To: clock.Time(r.To), Source: "postgres", Proven: r.Proven()}
	e.Evidence, err = json.Marshal(walEvidence{Space: full.Evidence, Refusal: &r})
	return e, err
}

// release is the op that gives the space back.
func (a walArgs) release(op drills.Op) (drills.Op, error) {
	out, err := drills.NewOp(verbRelease, op.Target, healArgs{Mark: a.Spec.Mark})
	out.ID = op.ID
	return out, err
}

// free gives the space back, starts a member that has ended, and waits until the server takes a write.
func (w *WAL) free(ctx context.Context, op drills.Op, a walArgs, s walServer) (drills.Effect, error) {
	release, err := a.release(op)
	if err != nil {
		return drills.Effect{}, err
	}
	asked := time.Now().UTC()
	e, err := w.disk.Apply(ctx, release)
	if err != nil {
		return drills.Effect{}, err
	}
	got := walEvidence{Space: e.Evidence}
	began := time.Now()
	first, err := w.back(ctx, op, a, s, &got.Started)
	if err != nil {
		return drills.Effect{}, err
	}
	got.Waited = drills.Duration(time.Since(began))
	if !first {
		e.Skipped = "" // the space was back before, and yet there was something to do
	}
	if e.From.Before(asked) { // of an earlier release
		e.From = asked
	}
	e.To, e.Source = time.Now().UTC(), "postgres"
	e.Proven = true // a write was taken
	e.Evidence, err = json.Marshal(got)
	return e, err
}

// back waits until the server takes a write; first tells that it did so when it was first asked. A member that has ended is
// started, also one that ends only now. One that is down for a reason that is not ours never takes a write.
func (w *WAL) back(ctx context.Context, op drills.Op, a walArgs, s walServer, started *bool) (first bool, err error) {
	start, err := drills.NewOp("unit.start", op.Target, sinceStart{a.StartedAt})
	if err != nil {
		return false, err
	}
	start.ID = op.ID
	ctx, cancel := context.WithTimeout(ctx, walBack)
	defer cancel()
	var last string
	for first = true; ; first = false {
		up, err := w.units.Apply(ctx, start)
		if err != nil {
			return false, err
		}
		*started = *started || up.Skipped == ""
		ok, why, err := s.Accepts(ctx)
		switch {
		case ok:
			return first && !*started, nil
		case err != nil && ctx.Err() == nil:
			return false, err
		}
		if why != "" {
			last = why
		}
		if !drills.Wait(ctx, walPoll) {
			return false, drills.Errorf(drills.Residual, "look at the server's log, and start it",
				"the space is back, and the server took no write within %s: %s (%s)", walBack, last, up.Skipped)
		}
	}
}
