package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// cut is one fault in force. Its reader goroutine owns everything that the helper says and ends with the stream.
type cut struct {
	opID   string
	stream drills.Stream
	peers  []peerAddress

	ready chan struct{} // closed when the rules are in force
	proof chan struct{} // closed at the first packet that met the fault
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
	Backend string            `json:"backend"` // which mechanism: rules of the kernel's, its netem, or the packet queue
	Peers   []peerAddress     `json:"peers,omitempty"`
	ByPeer  map[string]uint64 `json:"dropped_by_peer,omitempty"`
	Table   string            `json:"table,omitempty"`
	Why     string            `json:"ended_by,omitempty"`
	Traffic *helper.Traffic   `json:"traffic,omitempty"`
	// Netem is what the kernel's netem did, with the packets led to it by peer in dropped_by_peer's stead; NotNetem says why
	// another way was taken where netem can do such things.
	Netem    *helper.Netem `json:"netem,omitempty"`
	NotNetem string        `json:"not_netem,omitempty"`
	// Exchanges is what a proxy in the path did, connections led to it by peer in dropped_by_peer's stead.
	Exchanges *helper.Exchanges `json:"exchanges,omitempty"`
	LedByPeer map[string]uint64 `json:"led_by_peer,omitempty"`
	// Round trips from inside the target's namespace, µs, before the fault and under it; absent where nobody answered.
	RTTBefore int64 `json:"rtt_before_us,omitempty"`
	RTTDuring int64 `json:"rtt_during_us,omitempty"`
}

// injection is one fault that a helper is to hold in force.
type injection struct {
	mark, name string
	peers      []peerAddress
	prove      time.Duration
	spec       any
}

// inject starts a helper and waits for the fault and for a first packet that met it, at most once per op.
func (n *Net) inject(ctx context.Context, op drills.Op, in injection) (drills.Effect, error) {
	return n.once.Do(ctx, op.ID+" "+in.mark, func() (drills.Effect, error) { return n.begin(ctx, op, in) })
}

// begin keeps the cut whatever happens once the fault may be in force, so that its undo finds it.
func (n *Net) begin(ctx context.Context, op drills.Op, in injection) (drills.Effect, error) {
	if err := n.clear(ctx, op.Target+" "+in.mark); err != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, err)
	}
	clock, began := drills.NewClock(), drills.Monotonic()
	s, err := n.launcher.Start(ctx, drills.Place{Kind: drills.PlaceTarget, Target: op.Target, Name: in.name}, []string{"_agent", "helper"})
	if err != nil {
		return drills.Effect{}, fmt.Errorf("%s: start a helper in the target's network namespace: %w", op.Verb, err)
	}
	c := &cut{opID: op.ID, stream: s, peers: in.peers, ready: make(chan struct{}), proof: make(chan struct{}), ended: make(chan struct{})}
	n.mu.Lock()
	n.cuts[op.Target+" "+in.mark] = c
	n.mu.Unlock()
	go n.read(c)
	if err := sendSpec(s, in.spec); err != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, err)
	}
	if err := c.await(ctx, c.ready, helperAnswer); err != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, err)
	}
	answered := drills.Monotonic()
	err = c.await(ctx, c.proof, in.prove)
	if errors.Is(err, errLate) {
		err = nil // in force but not proven: the effect says so
	}
	return c.effect(clock, began, answered), err
}

func (a partitionArgs) spec() helper.PartitionSpec {
	return helper.PartitionSpec{Kind: helper.KindPartition, Op: a.Mark, Lease: drills.Duration(helperLease), Path: withPeers(a.Path, a.Peers)}
}

// withPeers puts the peers' addresses, once each, into a path.
func withPeers(p helper.Path, peers []peerAddress) helper.Path {
	for _, x := range peers {
		if !slices.Contains(p.Peers, x.IP) {
			p.Peers = append(p.Peers, x.IP)
		}
	}
	return p
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
	return drills.Effect{From: clock.Time(from), To: clock.Time(to), Source: c.source(), Proven: c.last.Affected() > 0, Evidence: c.evidence(c.last)}
}

// source is the mechanism; c.mu is held.
func (c *cut) source() string {
	if c.applied.Way != "" {
		return c.applied.Way
	}
	return netBackend
}

func (c *cut) evidence(b helper.Beat) json.RawMessage {
	e := dropEvidence{
		Dropped: b.Dropped, Backend: c.source(), Peers: c.peers, ByPeer: b.Peers, Table: c.applied.Table,
		Traffic: b.Traffic, Netem: b.Netem, NotNetem: c.applied.NotNetem, RTTBefore: c.applied.RTT, RTTDuring: b.RTT,
	}
	if b.Netem != nil {
		e.LedByPeer, e.ByPeer = b.Peers, nil
	}
	if b.Exchanges != nil {
		e.Exchanges, e.LedByPeer, e.ByPeer = b.Exchanges, b.Peers, nil
	}
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
		return TargetRestarted
	case c.done != nil && c.done.Why == "overload":
		return "more traffic came than can be held: the fault no longer did what was asked"
	case c.done != nil && c.done.Why == "displaced":
		return "somebody replaced the target's queueing discipline, and our netem with it"
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
	silent := time.AfterFunc(helperAnswer, c.thaw)
	defer silent.Stop()
	for {
		f, err := c.stream.Recv()
		silent.Reset(helperSilence)
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
			n.log.Warn("fault ended without our undo", zap.String("op", c.opID), zap.String("why", why))
			n.onEnd(c.opID, why)
		}
		return
	}
}

// thaw ends a helper that has stopped talking: frozen, it would hold the traffic that it has queued for ever. Its end is
// then read as any other.
func (c *cut) thaw() {
	c.mu.Lock()
	if c.failed == nil {
		c.failed = fmt.Errorf("it said nothing for %s, as a frozen process does, and was removed", helperSilence)
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.stream.Close(ctx) // that it had to be killed is what we want
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
	if c.last.Affected() == 0 && b.Affected() > 0 {
		close(c.proof)
	}
	if b.Affected() >= c.last.Affected() {
		c.last = b
	}
	return nil
}
