package helper

import (
	"encoding/binary"
	"math"
)

// feat is what netem does to the packets that are led to it, and so what proves it.
type feat int

const (
	holds  feat = iota // every packet waits
	loses              // some are dropped
	copies             // every packet leaves twice
)

// netemWork is how netem carries an effect out.
type netemWork struct {
	feat    feat
	options []byte
	share   float64 // of the path's packets that the rules lead to netem
	// cut has large buffers cut into packets before they meet netem: else one lot would be drawn for up to 64 KiB.
	cut bool
}

// netem says how netem does what is asked for, or, in words for the record, what netem cannot keep of it. Neither: netem
// has nothing of the kind.
func (s TrafficSpec) netem() (*netemWork, string) {
	e := s.Effects
	switch {
	case e.DNS != nil || e.Reset != nil:
		return nil, ""
	case e.Bandwidth != nil:
		return nil, "netem bounds its buffer by packets, not by the time that they wait"
	case e.Corruption != nil:
		return nil, "netem flips bits of the Ethernet and IP headers too, which leads packets astray, and repairs no checksum"
	case e.Reordering != nil:
		return nil, "netem puts what overtakes at the head of its line: packets that come together would leave in reverse"
	case e.Latency != nil && e.Latency.Jitter > 0:
		return nil, "under jitter netem lets packets of one conversation overtake each other"
	case e.Latency != nil && e.Latency.Delay.D() > longestHold:
		return nil, "netem cannot let go of what it holds, and the end would wait too long for it or lose it"
	case s.Direction != Out:
		return nil, "netem acts on what leaves; a redirection of what comes in would outlive a killed helper"
	}
	return e.netemWork(s.Seed), ""
}

func (e Effects) netemWork(seed uint64) *netemWork {
	switch {
	case e.Latency != nil:
		return &netemWork{feat: holds, share: 1, options: netemOptions{delay: e.Latency.Delay.D().Nanoseconds()}.encode(seed)}
	case e.Loss != nil && e.Loss.Burst > 1 && e.Loss.Share < 1:
		return &netemWork{feat: loses, share: 1, cut: true, options: netemOptions{burst: e.Loss}.encode(seed)}
	case e.Loss != nil:
		return &netemWork{feat: loses, share: 1, cut: true, options: netemOptions{loss: e.Loss.Share}.encode(seed)}
	}
	// The rules draw the lots and count them: netem does not tell its copies from what it copied.
	return &netemWork{feat: copies, share: e.Duplication.Share, options: netemOptions{copies: 1}.encode(seed)}
}

// The attributes of TCA_OPTIONS of netem (linux/pkt_sched.h). Older kernels pass over those that they do not know, such as
// the seed (6.6 and later).
const (
	netemLoss      = 5
	netemLossGE    = 2
	netemLatency64 = 10
	netemSeed      = 14
)

// netemOptions is what we use of netem's settings.
type netemOptions struct {
	delay        int64   // ns
	loss, copies float64 // shares
	burst        *Loss
}

// encode is struct tc_netem_qopt with its attributes.
func (o netemOptions) encode(seed uint64) []byte {
	b := make([]byte, 24)
	binary.NativeEndian.PutUint32(b[4:], queueLength) // limit, packets
	binary.NativeEndian.PutUint32(b[8:], ofMax(o.loss))
	binary.NativeEndian.PutUint32(b[16:], ofMax(o.copies))
	b = appendAttr(b, netemLatency64, binary.NativeEndian.AppendUint64(nil, uint64(o.delay)))
	if o.burst != nil {
		b = appendAttr(b, netemLoss, appendAttr(nil, netemLossGE, o.burst.gilbert()))
	}
	return appendAttr(b, netemSeed, binary.NativeEndian.AppendUint64(nil, seed))
}

// gilbert is struct tc_netem_gemodel: the chances to enter and to leave the bad state, in which all is lost (h is 0), while
// nothing is lost in the good one (1−k is 0). They are those of the packet queue's loss.
func (l Loss) gilbert() []byte {
	out := 1 / l.Burst
	b := make([]byte, 16)
	binary.NativeEndian.PutUint32(b, ofMax(out*l.Share/(1-l.Share)))
	binary.NativeEndian.PutUint32(b[4:], ofMax(out))
	return b
}

// ofMax is a share as the kernel has it, of 2³²−1.
func ofMax(share float64) uint32 { return uint32(min(1, share) * math.MaxUint32) }

// bands are those of our prio: three as the kernel's own default has them, and the fourth, which nothing comes to but what
// the rules lead there.
const bands = 4

// prioOptions is struct tc_prio_qopt: the number of bands, and which of the first three a packet's own priority means, as
// in the kernel's default.
func prioOptions() []byte {
	b := binary.NativeEndian.AppendUint32(nil, bands)
	return append(b, 1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1)
}

// The attributes of TCA_OPTIONS of tbf.
const (
	tbfParms = 1
	tbfBurst = 6
	ethernet = 1 // TC_LINKLAYER_ETHERNET
)

// tbfOptions cuts what is larger than a frame of that many bytes, at a rate that nothing reaches (32 Gbit/s): struct
// tc_tbf_qopt, whose rate is a struct tc_ratespec.
func tbfOptions(frame int) []byte {
	b := make([]byte, 36)
	b[1] = ethernet
	binary.NativeEndian.PutUint32(b[8:], 4_000_000_000) // bytes a second
	return appendAttr(appendAttr(nil, tbfParms, b), tbfBurst, binary.NativeEndian.AppendUint32(nil, uint32(frame)))
}
