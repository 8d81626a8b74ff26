package verifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

// deedWithin bounds one deed of a witness.
const deedWithin = 45 * time.Second

// WitnessConfig is what NewWitness needs. Expand and Log may be left out.
type WitnessConfig struct {
	Truth    drills.Truth
	Spec     drills.CanarySpec // of Truth.Canary
	Name     string            // makes its topic its own
	Launcher drills.Launcher
	Expand   func(string) (string, error)
	Log      *zap.Logger
}

// Witness holds a few connections and publishes a few messages when it is told to, and says what it did: what the numbers of
// the monitoring are compared with. Its messages go to a topic of its own.
type Witness struct {
	agent   *agent
	tallies chan drills.Tally
}

// NewWitness starts the agent, from where the canary writes. Nothing is connected before the first deed.
func NewWitness(ctx context.Context, cfg WitnessConfig) (*Witness, error) {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Expand == nil {
		cfg.Expand = noExpand
	}
	spec, err := Expand(cfg.Expand).canary(cfg.Spec)
	if err != nil {
		return nil, err
	}
	withCanaryDefaults(&spec)
	if spec, err = fanOutSpec(cfg.Truth.Canary, cfg.Name, spec); err != nil {
		return nil, err
	}
	w := &Witness{tallies: make(chan drills.Tally, 1)}
	place := placeOf(spec.From, "witness")
	place.Realtime = false
	job := witnessJob{Spec: spec, Connections: cfg.Truth.Connections, Messages: cfg.Truth.Messages}
	w.agent, err = startAgent(ctx, cfg.Launcher, place, "witness", job, cfg.Log, func(readiness) error { return nil }, w.take)
	return w, err
}

func (w *Witness) take(f drills.Frame) error {
	if f.Type != "tally" {
		return nil
	}
	var t drills.Tally
	if err := unmarshal(f, &t); err != nil {
		return err
	}
	select {
	case w.tallies <- t:
		return nil
	default:
		return errors.New("it answered more often than it was asked")
	}
}

// Do has one deed done and returns the tally after it. The error says what could not be done.
func (w *Witness) Do(ctx context.Context, deed drills.Deed) (drills.Tally, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, deedWithin, fmt.Errorf("it took longer than %s", deedWithin))
	defer cancel()
	err := w.agent.send("do", deed)
	if err == nil {
		select {
		case t := <-w.tallies:
			return t, nil
		case <-w.agent.ended:
			err = errors.Join(w.agent.failure(), errors.New("it ended"))
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	return drills.Tally{}, fmt.Errorf("%s: %w", deed, err)
}

// Close ends the agent and its connections.
func (w *Witness) Close(ctx context.Context) error { return w.agent.stop(ctx) }
