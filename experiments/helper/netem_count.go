package helper

import "time"

// Netem is what the kernel's netem did to the packets that were led to it, since it came into force. It does not say for how
// long it held each: that is what was asked for, and the round trip before and under the fault shows it.
type Netem struct {
	Led     uint64 `json:"led"`     // packets that the rules led to it; a buffer that is cut into packets later counts once
	Passed  uint64 `json:"passed"`  // packets that left it, copies too
	Dropped uint64 `json:"dropped"` // packets
	Waiting uint64 `json:"waiting"` // packets in it now; at the end: thrown away with it
	Bytes   uint64 `json:"bytes"`   // that left it
	// Affected is the packets held, lost or copied, whichever was asked for.
	Affected uint64  `json:"affected"`
	Share    float64 `json:"share,omitempty"` // dropped, of all that met netem

	peers map[string]uint64
}

// read counts from the beginning.
func (n *byNetem) read() (Netem, int, error) {
	peers, err := n.fence.counts() // before netem's own counters, so that a packet between them is no copy
	if err != nil {
		return Netem{}, 0, err
	}
	c := Netem{peers: peers, Led: beatOf(peers).Dropped}
	missing, err := n.count(&c)
	return c, missing, err
}

// count reads netem's own counters, and says from how many interfaces it is missing.
func (n *byNetem) count(c *Netem) (missing int, err error) {
	found, missing, err := n.netems()
	c.Passed, c.Dropped, c.Waiting, c.Bytes = 0, 0, 0, 0
	for _, q := range found {
		c.Passed, c.Dropped, c.Waiting, c.Bytes = c.Passed+q.passed, c.Dropped+q.dropped, c.Waiting+q.waiting, c.Bytes+q.bytes
	}
	return missing, err
}

// since is what came after an earlier count.
func (c Netem) since(base Netem, f feat) *Netem {
	d := c
	d.Led, d.Passed, d.Dropped, d.Bytes = less(c.Led, base.Led), less(c.Passed, base.Passed), less(c.Dropped, base.Dropped), less(c.Bytes, base.Bytes)
	met := d.Passed + d.Waiting + d.Dropped
	switch f {
	case holds:
		d.Affected = d.Passed + d.Waiting
	case loses:
		d.Affected = d.Dropped
		if met > 0 {
			d.Share = float64(d.Dropped) / float64(met)
		}
	case copies:
		d.Affected = min(d.Led, less(met, d.Led)) // every packet that was led there, as far as more than itself came out
	}
	return &d
}

// less never goes below zero: the counters of an interface go with it.
func less(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

func (n *byNetem) beat() (Beat, error) {
	base := n.base.Load()
	if base == nil {
		return Beat{RTT: n.rtt.Load()}, nil
	}
	now, _, err := n.read()
	if err != nil {
		return Beat{}, err
	}
	return n.told(now, *base), nil
}

func (n *byNetem) told(now, base Netem) Beat {
	c := now.since(base, n.work.feat)
	return Beat{Dropped: c.Dropped, Peers: now.peers, Netem: c, RTT: n.rtt.Load()}
}

// over says so when netem is no longer there, or when for a second it dropped what it was only to hold.
func (n *byNetem) over() string {
	now, missing, err := n.read()
	if err != nil {
		return "" // the next look tells
	}
	if missing > 0 {
		return "displaced"
	}
	if n.work.feat == holds && now.Dropped > n.dropped {
		n.strain++
	} else {
		n.strain = 0
	}
	n.dropped = now.Dropped
	if n.strain >= int(time.Second/beatEvery) {
		return "overload"
	}
	return ""
}

// settle puts the last counts, which are taken when what waited has left, into the end's.
func (n *byNetem) settle(b *Beat) {
	if base := n.base.Load(); base != nil && n.final != nil {
		*b = n.told(*n.final, *base)
	}
}
