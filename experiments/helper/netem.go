package helper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"

	"github.com/eevans-d/simulacro/drills"
)

// WayNetem is the kernel's own netem: rules of our owner table give packets a priority that leads them to it.
const WayNetem = "netem"

const (
	// longestHold is the longest delay that netem is used for: it cannot let go of what it holds, so the end waits for that.
	longestHold = time.Second
	// drainLimit bounds how long that may take, on a busy machine too.
	drainLimit = longestHold + 500*time.Millisecond
	// drainLook is how often that is looked at.
	drainLook = 20 * time.Millisecond
)

// byNetem is netem in force: on each interface a prio of four bands, the fourth of which is netem.
type byNetem struct {
	tc    trafficControl
	work  *netemWork
	tag   uint16
	links []net.Interface
	fence *fence
	end   tail
	hosts *hosts
	ping  netip.AddrPort

	rtt   atomic.Int64
	base  atomic.Pointer[Netem] // what came before counting began
	final *Netem
	// The watcher's own: how often in a row it dropped what it was only to hold, and how much it had dropped before.
	strain  int
	dropped uint64
}

// led gives packets the priority that is the fourth band of our prio, and counts them. It is the priority and not the mark:
// marks mean something to the target's own rules and are remembered by connection tracking, beyond the end of a fault.
func led(tag uint16, share float64) tail {
	to := binaryutil.NativeEndian.PutUint32(uint32(part(prioMajor, tag, bands)))
	return func(string, nftables.TableFamily) []expr.Any {
		return append(drawn(share), &expr.Counter{},
			&expr.Immediate{Register: 1, Data: to},
			&expr.Meta{Key: expr.MetaKeyPRIORITY, SourceRegister: true, Register: 1})
	}
}

// raiseNetem builds netem for the path. Where it must not or cannot be built it says why, and nothing is left of it: then
// another way is taken. An error means that something may be left.
func (s TrafficSpec) raiseNetem(peers []netip.Addr, ping netip.AddrPort) (*byNetem, Applied, string, error) {
	w, why := s.netem()
	if w == nil {
		return nil, Applied{}, why, nil
	}
	tc, err := openTrafficControl()
	if err != nil {
		return nil, Applied{}, "", err
	}
	table := TablePrefix + s.Op
	n := &byNetem{tc: tc, work: w, tag: QdiscTag(table), hosts: newHosts(s.Path, peers), ping: ping}
	n.end = led(n.tag, w.share)
	if n.links, why, err = tc.free(); err != nil || why != "" {
		return nil, Applied{}, or(why, err), tc.close()
	}
	rules := s.rules(peers, n.end)
	// The table first: disciplines without one count as left over by a killed helper, and anyone may remove them.
	if n.fence, _, _, err = raise(table, rules, drills.Monotonic); err != nil {
		return nil, Applied{}, or("", err), tc.close()
	}
	from, to, err := n.build()
	if err != nil {
		return nil, Applied{}, or("", err), n.lower()
	}
	return n, Applied{AppliedFrom: from, AppliedTo: to, Table: table, Rules: len(rules), Way: WayNetem}, "", nil
}

func or(why string, err error) string {
	if err != nil {
		return err.Error()
	}
	return why
}

// build puts the disciplines at every interface. The fault is in force from an instant between the two stamps, around the
// last steps: before them the fourth band is a plain queue.
func (n *byNetem) build() (from, to int64, err error) {
	under := part(prioMajor, n.tag, bands)
	for _, l := range n.links {
		index := int32(l.Index)
		if err := n.tc.add(qdisc{index: index, handle: part(prioMajor, n.tag, 0), parent: atRoot, kind: "prio"}, prioOptions()); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", l.Name, err)
		}
		if !n.work.cut {
			continue
		}
		// Made empty: between this step and the next one it drops what comes. That is far less than a millisecond.
		if err := n.tc.add(qdisc{index: index, handle: part(tbfMajor, n.tag, 0), parent: under, kind: "tbf"}, tbfOptions(l.MTU+ethernetHeader)); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", l.Name, err)
		}
	}
	if n.work.cut {
		under = part(tbfMajor, n.tag, 1)
	}
	from = drills.Monotonic()
	for _, l := range n.links {
		if err := n.tc.add(qdisc{index: int32(l.Index), handle: part(netemMajor, n.tag, 0), parent: under, kind: "netem"}, n.work.options); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", l.Name, err)
		}
	}
	return from, drills.Monotonic(), nil
}

// ethernetHeader is what a frame has besides the interface's MTU, with a VLAN tag.
const ethernetHeader = 18

// lower takes the rules away first, so that nothing new comes, lets what waits leave, and restores the interfaces.
func (n *byNetem) lower() error {
	if now, _, err := n.read(); err == nil {
		n.final = &now
	}
	err := n.fence.lower()
	n.drain()
	return errors.Join(err, n.raze(), n.tc.close())
}

// drain keeps the last counts: they go with the disciplines.
func (n *byNetem) drain() {
	t := time.NewTicker(drainLook)
	defer t.Stop()
	for end := time.Now().Add(drainLimit); n.final != nil && time.Now().Before(end); <-t.C {
		if _, err := n.count(n.final); err != nil || n.final.Waiting == 0 {
			return
		}
	}
}

// raze removes our disciplines; the kernel then puts its default back. What somebody else has put there meanwhile stays.
func (n *byNetem) raze() error {
	all, err := n.tc.list()
	errs := []error{err}
	for _, q := range all {
		if tag, ours := q.ourTag(); ours && tag == n.tag {
			errs = append(errs, n.tc.remove(q))
		}
	}
	return errors.Join(errs...)
}

// netems are our netems, one for each interface that is still there, and how many are missing from one that is.
func (n *byNetem) netems() (found []qdisc, missing int, err error) {
	all, err := n.tc.list()
	if err != nil {
		return nil, 0, err
	}
	for _, l := range n.links {
		i := slices.IndexFunc(all, func(q qdisc) bool {
			return int(q.index) == l.Index && q.handle == part(netemMajor, n.tag, 0) && q.kind == "netem"
		})
		if i >= 0 {
			found = append(found, all[i])
		} else if _, err := net.InterfaceByIndex(l.Index); err == nil {
			missing++
		}
	}
	return found, missing, nil
}

// follow measures the round trip under the fault once, then follows the hosts. Counting begins only then: packets of ours
// must not prove that the system's met the fault.
func (n *byNetem) follow(ctx context.Context) {
	n.rtt.Store(roundTrip(ctx, n.ping).Microseconds())
	if base, _, err := n.read(); err == nil {
		n.base.Store(&base)
	}
	n.hosts.follow(ctx, n.fence, n.end)
}
