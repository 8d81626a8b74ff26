package helper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// TablePrefix begins the name of every table of ours.
const TablePrefix = "simulacro_"

// beatEvery is how often the counters are told.
const beatEvery = 250 * time.Millisecond

// PartitionSpec asks for the traffic with some peers to be dropped until the stream or the lease ends.
type PartitionSpec struct {
	Kind      string          `json:"kind"`
	Op        string          `json:"op"`    // names the table: simulacro_<op>
	Lease     drills.Duration `json:"lease"` // how long without a frame before undoing; required
	Peers     []string        `json:"peers"` // IPv4 or IPv6
	Direction string          `json:"direction,omitempty"`
	Ports     []int           `json:"ports,omitempty"` // of the peers; none means all traffic
}

// Applied is the data of the "ready" frame of a partition: in force from an instant in [AppliedFrom, AppliedTo] (CLOCK_MONOTONIC, ns).
type Applied struct {
	AppliedFrom int64  `json:"applied_from"`
	AppliedTo   int64  `json:"applied_to"`
	Table       string `json:"table"`
	Rules       int    `json:"rules"`
}

// Beat is the data of a "beat" frame: packets dropped so far, in all and by peer.
type Beat struct {
	Dropped uint64            `json:"dropped"`
	Peers   map[string]uint64 `json:"peers,omitempty"`
}

// Done is the data of the "done" frame. Why is eof, stop, lease or cancelled, or detached: the namespace lost its last
// interface, because the target was stopped or restarted, so that the partition no longer applied to it.
type Done struct {
	Beat
	Why        string `json:"why"`
	UndoneFrom int64  `json:"undone_from"`
	UndoneMono int64  `json:"undone_mono"`
}

func (s PartitionSpec) validate() error {
	if !regexp.MustCompile(`^[A-Za-z0-9_]{1,200}$`).MatchString(s.Op) {
		return fmt.Errorf("spec: op %q cannot name a table: use letters, digits and _", s.Op)
	}
	if s.Lease <= 0 {
		return fmt.Errorf("spec: lease is required: a partition without one could outlive the tool")
	}
	if !slices.Contains([]string{"", Both, In, Out}, s.Direction) {
		return fmt.Errorf("spec: direction %q is not both, in or out", s.Direction)
	}
	for _, p := range s.Ports {
		if p < 1 || p > 65535 {
			return fmt.Errorf("spec: %d is not a port", p)
		}
	}
	return nil
}

func partition(ctx context.Context, p *drills.Pipe, s PartitionSpec) error {
	if err := s.validate(); err != nil {
		return err
	}
	peers, err := parsePeers(s.Peers)
	if err != nil {
		return err
	}
	rules := plan(peers, s.Direction, s.Ports)
	f, from, to, err := raise(TablePrefix+s.Op, rules, drills.Monotonic)
	if err != nil {
		return err
	}
	// From here on the rules are in force: whatever goes wrong below, lower them.
	sent := p.Send("ready", Applied{AppliedFrom: from, AppliedTo: to, Table: TablePrefix + s.Op, Rules: len(rules)})
	if sent != nil {
		_, err := undo(f, "cancelled")
		return errors.Join(sent, err)
	}
	w := &watcher{pipe: p, fence: f}
	done, err := undo(f, w.hold(ctx, s.Lease.D()))
	w.beats.Wait()
	if err != nil {
		return err
	}
	return p.Send("done", done)
}

// undo lowers the fence and says what it dropped in all.
func undo(f *fence, why string) (Done, error) {
	d := Done{Why: why}
	if counts, err := f.counts(); err == nil {
		d.Beat = beatOf(counts)
	}
	d.UndoneFrom = drills.Monotonic()
	err := f.lower()
	d.UndoneMono = drills.Monotonic()
	return d, err
}

func beatOf(counts map[string]uint64) Beat {
	b := Beat{Peers: counts}
	for n := range maps.Values(counts) {
		b.Dropped += n
	}
	return b
}

// watcher holds a partition in force. Beats have a goroutine of their own, so that a reader who does not read
// can hold up the beats but never the undo.
type watcher struct {
	pipe  *drills.Pipe
	fence *fence
	beats sync.WaitGroup
}

// hold returns why the partition must end.
func (w *watcher) hold(ctx context.Context, lease time.Duration) string {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	detached := make(chan struct{})
	w.beats.Go(func() { w.beat(ctx, detached) })
	why := make(chan string, 1)
	w.beats.Go(func() { why <- w.pipe.Watch(ctx, lease, nil) })
	select {
	case reason := <-why:
		return reason
	case <-detached:
		return "detached"
	}
}

func (w *watcher) beat(ctx context.Context, detached chan<- struct{}) {
	t := time.NewTicker(beatEvery)
	defer t.Stop()
	attached := links() > 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if attached && links() == 0 {
			close(detached)
			return
		}
		counts, err := w.fence.counts()
		if err != nil {
			continue // a missed reading is not a reason to lift the fault; the next one tells
		}
		if w.pipe.Send("beat", beatOf(counts)) != nil {
			return
		}
	}
}

// links counts the namespace's interfaces besides loopback; unknown counts as one.
func links() int {
	all, err := net.Interfaces()
	if err != nil {
		return 1
	}
	return len(slices.DeleteFunc(all, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 }))
}
