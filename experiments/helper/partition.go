package helper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// TablePrefix begins the name of every table of ours.
const TablePrefix = "simulacro_"

// beatEvery is how often the counters are told.
const beatEvery = 250 * time.Millisecond

// PartitionSpec asks for the traffic with some peers to be dropped until the stream or the lease ends.
type PartitionSpec struct {
	Kind  string          `json:"kind"`
	Op    string          `json:"op"`    // names the table: simulacro_<op>
	Lease drills.Duration `json:"lease"` // how long without a frame before undoing; required
	Path                  // direction: both unless it says otherwise
}

// Applied is the data of the "ready" frame of a partition: in force from an instant in [AppliedFrom, AppliedTo] (CLOCK_MONOTONIC, ns).
type Applied struct {
	AppliedFrom int64  `json:"applied_from"`
	AppliedTo   int64  `json:"applied_to"`
	Table       string `json:"table"`
	Rules       int    `json:"rules"`
	// Way is the mechanism of a fault on traffic: the kernel's rules alone, its netem, or a packet queue.
	Way string `json:"way,omitempty"`
	// NotNetem says why netem was not taken where it can do such things.
	NotNetem string `json:"not_netem,omitempty"`
	// RTT is the round trip from inside the namespace before the fault, µs; 0 where nobody answered.
	RTT int64 `json:"rtt_us,omitempty"`
}

// Affected is how many packets, or exchanges, the fault did something to.
func (b Beat) Affected() uint64 {
	if b.Traffic != nil {
		return b.Traffic.Affected
	}
	if b.Netem != nil {
		return b.Netem.Affected
	}
	if b.Exchanges != nil {
		return b.Exchanges.Hit
	}
	return b.Dropped
}

// Beat is the data of a "beat" frame: packets dropped so far, in all and by peer.
type Beat struct {
	Dropped uint64            `json:"dropped"`
	Peers   map[string]uint64 `json:"peers,omitempty"`
	Traffic *Traffic          `json:"traffic,omitempty"`
	// Netem is what the kernel's netem did; Peers then counts the packets led to it.
	Netem *Netem `json:"netem,omitempty"`
	// Exchanges is what a fault between the target and a dependency did; Peers then counts the connections led to it.
	Exchanges *Exchanges `json:"exchanges,omitempty"`
	RTT       int64      `json:"rtt_us,omitempty"` // round trip while the fault is in force, µs
}

// Done is the data of the "done" frame. Why is eof, stop, lease or cancelled, displaced (somebody replaced our netem), overload, or detached: the namespace lost its last
// interface, because the target was stopped or restarted, so that the
// fault no longer applied to it.
type Done struct {
	Beat
	Why        string `json:"why"`
	UndoneFrom int64  `json:"undone_from"`
	UndoneMono int64  `json:"undone_mono"`
}

func (s PartitionSpec) validate() error {
	if s.everyone() {
		return fmt.Errorf("spec: peers is empty: a partition from nobody would prove nothing")
	}
	return errors.Join(mayRaise(s.Op, s.Lease), s.Path.validate())
}

// mayRaise checks what every fault in a table of ours needs.
func mayRaise(op string, lease drills.Duration) error {
	if !regexp.MustCompile(`^[A-Za-z0-9_]{1,200}$`).MatchString(op) {
		return fmt.Errorf("spec: op %q cannot name a table: use letters, digits and _", op)
	}
	if lease <= 0 {
		return fmt.Errorf("spec: lease is required: a fault without one could outlive the tool")
	}
	return nil
}

func partition(ctx context.Context, p *drills.Pipe, s PartitionSpec) error {
	if err := s.validate(); err != nil {
		return err
	}
	peers, err := s.addresses(ctx)
	if err != nil {
		return err
	}
	return drop(ctx, p, fenceSpec{op: s.Op, lease: s.Lease.D(), path: s.Path, peers: peers, end: countedDrop})
}

// fenceSpec is a fault that the kernel does by itself, in rules that count.
type fenceSpec struct {
	op    string
	lease time.Duration
	path  Path
	peers []netip.Addr
	end   tail
	way   string
	not   string // why it is not netem
}

// drop raises the fence and keeps it.
func drop(ctx context.Context, p *drills.Pipe, s fenceSpec) error {
	rules := s.path.rules(s.peers, s.end)
	f, from, to, err := raise(TablePrefix+s.op, rules, drills.Monotonic)
	if err != nil {
		return err
	}
	a := Applied{AppliedFrom: from, AppliedTo: to, Table: TablePrefix + s.op, Rules: len(rules), Way: s.way, NotNetem: s.not}
	return keep(ctx, p, s.lease, a, &fenced{fence: f, hosts: newHosts(s.path, s.peers), end: s.end})
}

// fenced is a fence in force.
type fenced struct {
	fence *fence
	hosts *hosts
	end   tail
}

func (f *fenced) beat() (Beat, error) {
	counts, err := f.fence.counts()
	return beatOf(counts), err
}

func (f *fenced) lower() error { return f.fence.lower() }

func (f *fenced) over() string { return "" }

func (f *fenced) follow(ctx context.Context) { f.hosts.follow(ctx, f.fence, f.end) }

func beatOf(counts map[string]uint64) Beat {
	b := Beat{Peers: counts}
	for n := range maps.Values(counts) {
		b.Dropped += n
	}
	return b
}
