package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// The verbs of the network actuator. What is neither a partition nor a heal is an effect on traffic.
const (
	verbPartition = "net.partition"
	verbLatency   = "net.latency"
	verbLoss      = "net.loss"
	verbCorrupt   = "net.corrupt"
	verbReorder   = "net.reorder"
	verbDuplicate = "net.duplicate"
	verbBandwidth = "net.bandwidth"
	verbReset     = "net.reset"
	verbDNS       = "net.dns"
	verbExchange  = "net.exchange"
	verbHeal      = "net.heal"
)

const (
	// netBackend is the source of the effects: which mechanism dropped the packets.
	netBackend = "nftables-owner"
	// helperLease is how long a helper keeps its rules without hearing from us.
	helperLease = 5 * time.Second
	// helperSilence is after how long without a word a helper counts as frozen: it beats four times a second, and traffic
	// that it has queued waits for it.
	helperSilence = 3 * time.Second
	// helperAnswer bounds the start of a helper and its answer to a stop.
	helperAnswer = 15 * time.Second
)

// TargetRestarted is why a fault in a target's network namespace ended when the target did: a new namespace begins without it,
// and the same change can be made again there.
const TargetRestarted = "its target was stopped or restarted, so the fault no longer applied"

// peerAddress is one address that the target is cut off from.
type peerAddress struct {
	Member string `json:"member"`
	IP     string `json:"ip"`
}

// partitionArgs are the arguments of net.partition.
type partitionArgs struct {
	Mark  string        `json:"mark"` // names the table, so that any process finds it again
	Peers []peerAddress `json:"peers"`
	helper.Path
	Prove drills.Duration `json:"prove,omitempty"` // how long to wait for the first dropped packet
}

// healArgs are the arguments of net.heal. The mark stands for the do op: op ids are given after planning.
type healArgs struct {
	Mark string `json:"mark"`
}

// Net is the actuator of net.*: partitions and faults on traffic, held in force by a helper
// process in the target's network namespace.
type Net struct {
	launcher drills.Launcher
	log      *zap.Logger
	onEnd    func(opID, why string)

	once drills.Once
	mu   sync.Mutex
	cuts map[string]*cut // by target and mark
}

// NewNet starts helpers through the launcher. onEnd (may be nil) is told, from a goroutine of ours, when a fault ended
// without our undo: the helper died, its lease ended, or its target was stopped or restarted.
func NewNet(l drills.Launcher, log *zap.Logger, onEnd func(opID, why string)) *Net {
	if log == nil {
		log = zap.NewNop()
	}
	if onEnd == nil {
		onEnd = func(string, string) {}
	}
	return &Net{launcher: l, log: log.Named("net"), onEnd: onEnd, cuts: map[string]*cut{}}
}

// Apply does a fault (at most once per op, a second call returns the first one's result) or net.heal (idempotent).
func (n *Net) Apply(ctx context.Context, op drills.Op) (drills.Effect, error) {
	if ctx.Err() != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	switch op.Verb {
	case verbPartition:
		var a partitionArgs
		if err := op.Decode(&a); err != nil {
			return drills.Effect{}, err
		}
		return n.inject(ctx, op, injection{mark: a.Mark, name: "partition", peers: a.Peers, prove: a.Prove.D(), spec: a.spec()})
	case verbLatency, verbLoss, verbCorrupt, verbReorder, verbDuplicate, verbBandwidth, verbReset, verbDNS:
		var a trafficArgs
		if err := op.Decode(&a); err != nil {
			return drills.Effect{}, err
		}
		name := strings.TrimPrefix(op.Verb, "net.")
		return n.inject(ctx, op, injection{mark: a.Mark, name: name, peers: a.Peers, prove: a.Prove.D(), spec: a.spec()})
	case verbExchange:
		var a exchangeArgs
		if err := op.Decode(&a); err != nil {
			return drills.Effect{}, err
		}
		return n.inject(ctx, op, injection{mark: a.Mark, name: "exchange", peers: a.Peers, prove: a.Prove.D(), spec: a.spec()})
	case verbHeal:
		var a healArgs
		if err := op.Decode(&a); err != nil {
			return drills.Effect{}, err
		}
		return n.heal(ctx, op.Target, a.Mark)
	}
	return drills.Effect{}, fmt.Errorf("%q is not a verb of the network actuator", op.Verb)
}

// Present looks into the target's network namespace for the fault's table and netem. A target that is not running has none.
func (n *Net) Present(ctx context.Context, op drills.Op) (bool, error) {
	if ctx.Err() != nil {
		return false, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	var a struct {
		Mark string `json:"mark"`
	}
	if err := json.Unmarshal(op.Args, &a); err != nil || a.Mark == "" {
		return false, fmt.Errorf("%s: the op has no mark to look for", op.Verb)
	}
	seen, err := n.look(ctx, op.Target, a.Mark, helper.InspectSpec{Kind: helper.KindInspect})
	return seen.any(), err
}

// sighting is what of a fault is in a target's network namespace, and the interval in which that was read. Netem without
// rules was left by a killed helper: nothing is led to it.
type sighting struct {
	rules, netem bool
	read         drills.Interval
}

func (s sighting) any() bool { return s.rules || s.netem }

// look has a helper inspect the target's network namespace, or sweep it first.
func (n *Net) look(ctx context.Context, target, mark string, spec any) (sighting, error) {
	ctx, cancel := context.WithTimeout(ctx, helperAnswer)
	defer cancel()
	seen := sighting{read: drills.Interval{From: time.Now().UTC()}}
	s, err := n.launcher.Start(ctx, drills.Place{Kind: drills.PlaceTarget, Target: target, Name: "inspect"}, []string{"_agent", "helper"})
	if notRunning(err) {
		seen.read.To = time.Now().UTC()
		return seen, nil
	}
	if err != nil {
		return seen, fmt.Errorf("inspect the target's network namespace: %w", err)
	}
	// Closing also ends a Recv that would wait for ever.
	stop := context.AfterFunc(ctx, func() { _ = s.Close(context.WithoutCancel(ctx)) })
	defer func() {
		if stop() {
			_ = s.Close(ctx)
		}
	}()
	var found helper.Inspected
	if err := ask(s, spec, &found); err != nil {
		return seen, fmt.Errorf("inspect the target's network namespace: %w", err)
	}
	seen.read.To = time.Now().UTC()
	seen.rules, seen.netem = found.Holds(helper.TablePrefix + mark)
	return seen, nil
}

// ask sends a spec and decodes the "ready" frame that answers it.
func ask(s drills.Stream, spec, into any) error {
	if err := sendSpec(s, spec); err != nil {
		return err
	}
	for {
		f, err := s.Recv()
		if err != nil {
			return fmt.Errorf("the helper ended without an answer: %w", err)
		}
		switch f.Type {
		case "ready":
			return json.Unmarshal(f.Data, into)
		case "error":
			return failure(f)
		}
	}
}

func sendSpec(s drills.Stream, spec any) error {
	b, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return s.Send(drills.Frame{Type: "spec", Data: b})
}

func failure(f drills.Frame) error {
	var e helper.Failure
	if json.Unmarshal(f.Data, &e) != nil || e.Message == "" {
		e.Message = string(f.Data)
	}
	return errors.New("the helper says: " + e.Message)
}

// notRunning tells whether a launcher refused because the target has no network namespace now. The engine has no code
// for that, so its words are looked for; an unknown error stays an error, never "absent".
func notRunning(err error) bool {
	if err == nil {
		return false
	}
	for _, words := range []string{"non running container", "No such container", "is restarting"} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}
