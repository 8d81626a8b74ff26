package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// cut is one partition in force. Its reader goroutine owns everything that the helper says and ends with the stream.
type cut struct {
	opID   string
	stream drills.Stream
	peers  []peerAddress

	ready chan struct{} // closed when the rules are in force
	proof chan struct{} // closed at the first dropped packet
	ended chan struct{} // closed when the stream has ended

	mu       sync.Mutex
	applied  helper.Applied
	last     helper.Beat
	done     *helper.Done
	failed   error // why the helper could not do it, or how the stream broke
	stopping bool  // the end is ours
	undone   *drills.Effect
	healing  sync.Mutex // one undo at a time
}

// dropEvidence is the evidence of both effects.
type dropEvidence struct {
	Dropped uint64            `json:"dropped"` // packets
	Backend string            `json:"backend"`
	Peers   []peerAddress     `json:"peers,omitempty"`
	ByPeer  map[string]uint64 `json:"dropped_by_peer,omitempty"`
	Table   string            `json:"table,omitempty"`
	Why     string            `json:"ended_by,omitempty"`
}

// partition starts a helper and waits for the rules and for a first dropped packet. Once the rules may be in force the
// cut is kept whatever happens, so that its undo finds it.
func (n *Net) partition(ctx context.Context, op drills.Op, a partitionArgs) (drills.Effect, error) {
	clock, began := drills.NewClock(), drills.Monotonic()
	s, err := n.launcher.Start(ctx, drills.Place{Kind: drills.PlaceTarget, Target: op.Target, Name: "partition"}, []string{"_agent", "helper"})
	if err != nil {
		return drills.Effect{}, fmt.Errorf("%s: start a helper in the target's network namespace: %w", op.Verb, err)
	}
	c := &cut{opID: op.ID, stream: s, peers: a.Peers, ready: make(chan struct{}), proof: make(chan struct{}), ended: make(chan struct{})}
	n.mu.Lock()
	n.cuts[op.Target+" "+a.Mark] = c
	n.mu.Unlock()
	go n.read(c)
	if err := sendSpec(s, a.spec()); err != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, err)
	}
	if err := c.await(ctx, c.ready, helperAnswer); err != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, err)
	}
	answered := drills.Monotonic()
	err = c.await(ctx, c.proof, a.Prove.D())
	if errors.Is(err, errLate) {
		err = nil // in force but not proven: the effect says so
	}
	return c.effect(clock, began, answered), err
}

func (a partitionArgs) spec() helper.PartitionSpec {
	s := helper.PartitionSpec{
		Kind: helper.KindPartition, Op: a.Mark, Lease: drills.Duration(helperLease), Direction: a.Direction, Ports: a.Ports,
	}
	for _, p := range a.Peers {
		s.Peers = append(s.Peers, p.IP)
	}
	return s
}

var errLate = errors.New("no answer in time")

// await waits for a signal of the reader; the helper's own failure or end comes first.
func (c *cut) await(ctx context.Context, signal <-chan struct{}, limit time.Duration) error {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-signal:
		return nil
	case <-c.ended:
		select {
		case <-signal: // both: the signal came first
			return nil
		default:
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return fmt.Errorf("the helper ended: %s", c.reason())
	case <-t.C:
		return errLate
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// effect maps the helper's bracket to wall time. A bracket outside of our own means that its clock is not ours (another
// kernel): then ours counts, which is wider.
func (c *cut) effect(clock drills.Clock, began, answered int64) drills.Effect {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, to := c.applied.AppliedFrom, c.applied.AppliedTo
	if from < began || to > answered || from > to {
		from, to = began, answered
	}
	return drills.Effect{From: clock.Time(from), To: clock.Time(to), Source: netBackend, Proven: c.last.Dropped > 0, Evidence: c.evidence(c.last)}
}

func (c *cut) evidence(b helper.Beat) json.RawMessage {
	e := dropEvidence{Dropped: b.Dropped, Backend: netBackend, Peers: c.peers, ByPeer: b.Peers, Table: c.applied.Table}
	if c.done != nil {
		e.Why = c.done.Why
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return nil // cannot happen: plain numbers and text
	}
	return raw
}

// reason says why the helper ended; c.mu is held.
func (c *cut) reason() string {
	switch {
	case c.done != nil && c.done.Why == "detached":
		return "its target was stopped or restarted, so the partition no longer applied"
	case c.done != nil:
		return c.done.Why
	case c.failed != nil && !errors.Is(c.failed, io.EOF):
		return c.failed.Error()
	}
	return "it died without a word"
}

// read handles the helper's frames until its stream ends.
func (n *Net) read(c *cut) {
	defer close(c.ended)
	for {
		f, err := c.stream.Recv()
		if err == nil {
			err = c.take(f)
		}
		if err == nil {
			continue
		}
		c.mu.Lock()
		if c.failed == nil {
			c.failed = err
		}
		ours, inForce, why := c.stopping, c.applied.Table != "", c.reason()
		c.mu.Unlock()
		if !ours && inForce {
			n.log.Warn("partition ended without our undo", zap.String("op", c.opID), zap.String("why", why))
			n.onEnd(c.opID, why)
		}
		return
	}
}

// take notes one frame; an error ends the reading.
func (c *cut) take(f drills.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f.Type {
	case "ready":
		if c.applied.Table == "" {
			defer close(c.ready)
		}
		return json.Unmarshal(f.Data, &c.applied)
	case "beat":
		return c.count(f.Data)
	case "done":
		c.done = new(helper.Done)
		if err := json.Unmarshal(f.Data, c.done); err != nil {
			return err
		}
		return c.count(f.Data)
	case "error":
		c.failed = failure(f)
	}
	return nil
}

// count notes the counters of a beat or a done frame.
func (c *cut) count(data json.RawMessage) error {
	var b helper.Beat
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	if c.last.Dropped == 0 && b.Dropped > 0 {
		close(c.proof)
	}
	if b.Dropped >= c.last.Dropped {
		c.last = b
	}
	return nil
}
