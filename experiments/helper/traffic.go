package helper

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// The ways in which a fault on traffic is done, as the record names them.
const (
	WayQueue = "nfqueue"        // nftables rules hand packets to our user-space queue
	WayRules = "nftables-owner" // nftables rules alone
)

const (
	// pilot is how long the traffic is counted before a queue is put into it.
	pilot = 250 * time.Millisecond
	// Ceiling is how many packets a second may meet a fault of the queue, so that the fault and not its mechanism is what
	// the target feels: about half of what a prototype did on a busy machine of two cores (docs/faults/network.md).
	Ceiling = 10000
	// lateLimit is the mean lateness over a second beyond which a queue no longer does what was asked.
	lateLimit = 50 * time.Millisecond
)

// TrafficSpec asks for one fault on the traffic of a path until the stream or the lease ends.
type TrafficSpec struct {
	Kind  string          `json:"kind"`
	Op    string          `json:"op"`    // names the table: simulacro_<op>
	Lease drills.Duration `json:"lease"` // how long without a frame before undoing; required
	Seed  uint64          `json:"seed,omitempty"`
	Path                  // direction: out unless it says otherwise

	Effects
}

// Effects is what a fault on traffic may do; exactly one is given.
type Effects struct {
	Latency     *Latency     `json:"latency,omitempty"`
	Loss        *Loss        `json:"loss,omitempty"`
	Corruption  *Corruption  `json:"corruption,omitempty"`
	Reordering  *Reordering  `json:"reordering,omitempty"`
	Bandwidth   *Bandwidth   `json:"bandwidth,omitempty"`
	DNS         *DNS         `json:"dns,omitempty"`
	Duplication *Duplication `json:"duplication,omitempty"`
	Reset       *Reset       `json:"reset,omitempty"`
}

// work is how a spec is carried out: an effect in the queue, or a rule of the kernel's.
type work struct {
	effect    effect
	copyRange uint32
	gso       bool
	end       tail
	err       error
}

// works lists what the spec asks for; a good one asks for exactly one thing.
func (s TrafficSpec) works() []work {
	var out []work
	if x := s.Latency; x != nil {
		out = append(out, work{effect: &latency{Latency: *x}, copyRange: headersOnly, gso: true, err: x.validate()})
	}
	if x := s.Loss; x != nil {
		out = append(out, work{effect: &loss{Loss: *x}, copyRange: headersOnly, err: shareIn("loss", x.Share)})
	}
	if x := s.Corruption; x != nil {
		out = append(out, work{effect: &corruption{*x}, copyRange: wholePacket, err: shareIn("corruption", x.Share)})
	}
	if x := s.Reordering; x != nil {
		err := shareIn("reordering", x.Share)
		if x.By <= 0 {
			err = errors.Join(err, errors.New("spec: reordering: by is required"))
		}
		out = append(out, work{effect: &reordering{*x}, copyRange: headersOnly, err: err})
	}
	if x := s.Bandwidth; x != nil {
		out = append(out, work{effect: &bandwidth{Bandwidth: *x, free: map[bool]time.Time{}}, copyRange: headersOnly, err: x.validate()})
	}
	if x := s.DNS; x != nil {
		out = append(out, work{effect: &dns{*x}, copyRange: wholePacket, err: x.validate()})
	}
	if x := s.Duplication; x != nil {
		out = append(out, work{end: x.tail, err: x.validate(s.Path)})
	}
	if x := s.Reset; x != nil {
		out = append(out, work{end: x.tail, err: x.validate(s.Path)})
	}
	return out
}

func (l Latency) validate() error {
	switch {
	case l.Delay < 0 || l.Jitter < 0 || l.Delay+l.Jitter == 0:
		return fmt.Errorf("spec: latency: delay %s, jitter %s: one of them must be above zero", l.Delay, l.Jitter)
	case l.Correlation < 0 || l.Correlation >= 1:
		return fmt.Errorf("spec: latency: correlation %v is not within [0, 1)", l.Correlation)
	}
	switch l.Distribution {
	case "", Uniform, Normal, Pareto:
		return nil
	}
	return fmt.Errorf("spec: latency: distribution %q is not uniform, normal or pareto", l.Distribution)
}

func (b Bandwidth) validate() error {
	if b.Rate < 1000 || b.Limit < 0 {
		return fmt.Errorf("spec: bandwidth: %v bit/s is not a rate of at least 1000 bit/s", b.Rate)
	}
	return nil
}

func (s TrafficSpec) work() (work, error) {
	all := s.works()
	if len(all) != 1 {
		return work{}, fmt.Errorf("spec: %d effects are asked for, want exactly one", len(all))
	}
	return all[0], errors.Join(mayRaise(s.Op, s.Lease), s.validate(), all[0].err)
}

func traffic(ctx context.Context, p *drills.Pipe, s TrafficSpec) error {
	w, err := s.work()
	if err != nil {
		return err
	}
	if s.Direction == "" {
		s.Direction = Out
	}
	peers, err := s.trafficPeers(ctx)
	if err != nil {
		return err
	}
	b := before{peers: peers}
	if w.end == nil && s.DNS == nil {
		b.ping = pinged(s.Path, peers)
		b.rtt = roundTrip(ctx, b.ping)
	}
	n, a, not, err := s.raiseNetem(peers, b.ping)
	if err != nil {
		return err
	}
	if n != nil {
		a.RTT = b.rtt.Microseconds()
		return keep(ctx, p, s.Lease.D(), a, n)
	}
	b.not = not
	if w.end != nil {
		return drop(ctx, p, fenceSpec{op: s.Op, lease: s.Lease.D(), path: s.Path, peers: peers, end: w.end, way: WayRules, not: not})
	}
	return shape(ctx, p, s, w, b)
}

// before is what is known before a fault on traffic comes into force.
type before struct {
	peers []netip.Addr
	ping  netip.AddrPort // where a round trip is measured
	rtt   time.Duration
	not   string // why it is not netem
}

// trafficPeers are the addresses of the path; those of a DNS fault are the target's resolvers.
func (s *TrafficSpec) trafficPeers(ctx context.Context) ([]netip.Addr, error) {
	if s.DNS == nil {
		return s.addresses(ctx)
	}
	text, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return nil, fmt.Errorf("find the target's resolvers: %w", err)
	}
	found := resolvers(string(text))
	if len(found) == 0 {
		return nil, errors.New("the target's resolv.conf names no resolver")
	}
	s.Path = Path{Direction: Out, Ports: []int{53}}
	for _, a := range found {
		s.Peers = append(s.Peers, a.String())
	}
	return found, nil
}

// shape puts the queue into the path's traffic and keeps it there.
func shape(ctx context.Context, p *drills.Pipe, s TrafficSpec, w work, b before) error {
	if err := s.affordable(ctx, b.peers); err != nil {
		return err
	}
	q, err := openQueue(w.copyRange, w.gso)
	if err != nil {
		return err
	}
	sh := newShaper(q, w.effect, s.Seed)
	f, end, a, err := raiseQueue(s, q.number, b.peers)
	if err != nil {
		return errors.Join(err, sh.close())
	}
	a.RTT, a.NotNetem = b.rtt.Microseconds(), b.not
	return keep(ctx, p, s.Lease.D(), a, &shaped{shaper: sh, fence: f, end: end, hosts: newHosts(s.Path, b.peers), ping: b.ping})
}

// raiseQueue hands the path's packets to the queue, by the kernel's own statement or, where it is not built in, by the
// iptables target behind nftables' compatibility layer.
func raiseQueue(s TrafficSpec, number uint16, peers []netip.Addr) (*fence, tail, Applied, error) {
	var errs []error
	for _, end := range []tail{queueNative(number), queueCompat(number)} {
		rules := s.rules(peers, end)
		f, from, to, err := raise(TablePrefix+s.Op, rules, drills.Monotonic)
		if err == nil {
			return f, end, Applied{AppliedFrom: from, AppliedTo: to, Table: TablePrefix + s.Op, Rules: len(rules), Way: WayQueue}, nil
		}
		errs = append(errs, err)
	}
	return nil, nil, Applied{}, fmt.Errorf("this kernel hands no packets to user space (nft_queue, or nft_compat with xt_NFQUEUE): %w", errors.Join(errs...))
}

// affordable counts the path's packets for a moment and refuses more than the queue carries well.
func (s TrafficSpec) affordable(ctx context.Context, peers []netip.Addr) error {
	f, _, _, err := raise(TablePrefix+s.Op, s.rules(peers, countOnly), drills.Monotonic)
	if err != nil {
		return err
	}
	began := time.Now()
	if !drills.Wait(ctx, pilot) {
		return errors.Join(context.Cause(ctx), f.lower())
	}
	counts, err := f.counts()
	took := time.Since(began)
	if err := errors.Join(err, f.lower()); err != nil {
		return err
	}
	if rate := float64(beatOf(counts).Dropped) / took.Seconds(); rate > Ceiling {
		return fmt.Errorf("%.0f packets a second pass here, and the packet queue is good for %d: narrow the fault by peers, ports or direction", rate, Ceiling)
	}
	return nil
}

// shaped is a queue in force.
type shaped struct {
	shaper *shaper
	fence  *fence
	end    tail
	hosts  *hosts
	ping   netip.AddrPort
	rtt    atomic.Int64
	last   Traffic
	strain int
}

func (s *shaped) beat() (Beat, error) {
	t := s.shaper.state()
	return Beat{Dropped: t.Dropped, Traffic: &t, RTT: s.rtt.Load()}, nil
}

// lower lets go what waits, then takes the rules away.
func (s *shaped) lower() error {
	s.shaper.letPass()
	return errors.Join(s.fence.lower(), s.shaper.close())
}

// over says so when the queue no longer does what was asked, for a second: then the fault is another one.
func (s *shaped) over() string {
	now := s.shaper.state()
	defer func() { s.last = now }()
	if now.Escaped > s.last.Escaped || now.recent(s.last) > lateLimit {
		s.strain++
	} else {
		s.strain = 0
	}
	if s.strain >= int(time.Second/beatEvery) {
		return "overload"
	}
	return ""
}

// follow measures the round trip under the fault once, then follows the hosts. Counting begins only then: packets of ours
// must not prove that the system's met the fault.
func (s *shaped) follow(ctx context.Context) {
	s.rtt.Store(roundTrip(ctx, s.ping).Microseconds())
	s.shaper.counting.Store(true)
	s.hosts.follow(ctx, s.fence, s.end)
}
