package helper

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// The distributions of a jitter, with mean zero. Uniform is in [-1, 1]; the others have the standard deviation 1, as the
// tables of tc-netem do.
const (
	Uniform = "uniform"
	Normal  = "normal"
	Pareto  = "pareto" // a long tail towards later, shape 3
)

// Latency holds every packet for Delay plus a draw of the distribution times Jitter, never below zero. Within a flow the
// order is kept: a packet never leaves before the one in front of it.
type Latency struct {
	Delay        drills.Duration `json:"delay"`
	Jitter       drills.Duration `json:"jitter,omitempty"`
	Distribution string          `json:"distribution,omitempty"` // default uniform
	Correlation  float64         `json:"correlation,omitempty"`  // 0..1, of a packet's draw with the one before
}

// Loss drops packets: each with probability Share, or in bursts (a Gilbert model) whose mean length is Burst packets and
// which make up Share of all.
type Loss struct {
	Share float64 `json:"share"` // 0..1
	Burst float64 `json:"burst,omitempty"`
}

// Corruption flips one bit in Share of the packets, behind the IP header. The checksum then is wrong and the receiver's
// kernel drops the packet, unless Repair makes it right again: then the application gets the wrong bit.
type Corruption struct {
	Share  float64 `json:"share"`
	Repair bool    `json:"repair,omitempty"`
}

// Reordering holds Share of the packets back for By, while those behind them pass.
type Reordering struct {
	Share float64         `json:"share"`
	By    drills.Duration `json:"by"`
}

// Bandwidth lets Rate bits a second pass in each direction, counted from the IP header on. What would wait for longer than
// Limit is dropped, as a router's full buffer does.
type Bandwidth struct {
	Rate  float64         `json:"rate"`            // bit/s
	Limit drills.Duration `json:"limit,omitempty"` // default 400ms
}

// defaultLimit is the longest wait for bandwidth.
const defaultLimit = 400 * time.Millisecond

// verdict is what becomes of one packet.
type verdict struct {
	id      uint32
	drop    bool
	payload []byte        // replaces the packet
	hold    time.Duration // before it leaves
	overtak bool          // may leave before or after its flow's others
	touched bool          // the fault did something to it
}

// effect decides on packets, one after the other. It has a memory (bursts, correlation, the bucket) but no clock of its own.
type effect interface {
	decide(p packet, in bool, now time.Time, rng *rand.Rand) verdict
}

type latency struct {
	Latency
	last float64 // the draw before, 0..1
}

func (l *latency) decide(_ packet, _ bool, _ time.Time, rng *rand.Rand) verdict {
	hold := l.Delay.D()
	if l.Jitter > 0 {
		hold += time.Duration(l.draw(rng) * float64(l.Jitter.D()))
	}
	return verdict{hold: max(0, hold), touched: true}
}

// draw correlates as tc-netem does: x = c·last + (1−c)·random, on the uniform number that the distribution is made from.
func (l *latency) draw(rng *rand.Rand) float64 {
	u := rng.Float64()
	if l.Correlation > 0 {
		u = l.Correlation*l.last + (1-l.Correlation)*u
		l.last = u
	}
	return quantile(l.Distribution, u)
}

// quantile is the inverse of the distribution function at u in [0, 1).
func quantile(distribution string, u float64) float64 {
	switch distribution {
	case Normal:
		return math.Sqrt2 * math.Erfinv(2*min(max(u, 1e-9), 1-1e-9)-1)
	case Pareto: // shape 3, scale 1: mean 3/2, variance 3/4
		return (math.Pow(max(1-u, 1e-4), -1.0/3) - 1.5) / math.Sqrt(0.75)
	}
	return 2*u - 1
}

type loss struct {
	Loss
	bad bool
}

// decide leaves the bad state with probability 1/Burst and enters it so often that Share of the packets meet it: with p into
// and r out of it, p/(p+r) = Share (Gilbert, 1960).
func (l *loss) decide(_ packet, _ bool, _ time.Time, rng *rand.Rand) verdict {
	if l.Burst <= 1 {
		hit := rng.Float64() < l.Share
		return verdict{drop: hit, touched: hit}
	}
	out := 1 / l.Burst
	switch {
	case l.Share >= 1:
		l.bad = true
	case l.bad:
		l.bad = rng.Float64() >= out
	default:
		l.bad = rng.Float64() < out*l.Share/(1-l.Share)
	}
	return verdict{drop: l.bad, touched: l.bad}
}

type corruption struct{ Corruption }

func (c *corruption) decide(p packet, _ bool, _ time.Time, rng *rand.Rand) verdict {
	from := p.transport
	if c.Repair {
		from = p.payload() // a repaired header would lead the packet astray instead
	}
	if from == 0 || from >= len(p.data) || rng.Float64() >= c.Share {
		return verdict{}
	}
	changed := packet{flow: p.flow, data: append([]byte(nil), p.data...), length: p.length, transport: p.transport}
	changed.data[from+rng.IntN(len(p.data)-from)] ^= 1 << rng.IntN(8)
	if c.Repair {
		changed.checksums()
	}
	return verdict{payload: changed.data, touched: true}
}

type reordering struct{ Reordering }

func (r *reordering) decide(_ packet, _ bool, _ time.Time, rng *rand.Rand) verdict {
	if rng.Float64() >= r.Share {
		return verdict{}
	}
	return verdict{hold: r.By.D(), overtak: true, touched: true}
}

type bandwidth struct {
	Bandwidth
	free map[bool]time.Time // when each direction's line is free again
}

func (b *bandwidth) decide(p packet, in bool, now time.Time, _ *rand.Rand) verdict {
	start := now
	if f := b.free[in]; f.After(now) {
		start = f
	}
	limit := b.Limit.D()
	if limit == 0 {
		limit = defaultLimit
	}
	if start.Sub(now) > limit {
		return verdict{drop: true, touched: true}
	}
	b.free[in] = start.Add(time.Duration(float64(p.length*8) / b.Rate * float64(time.Second)))
	hold := b.free[in].Sub(now)
	return verdict{hold: hold, touched: start != now}
}

func shareIn(what string, share float64) error {
	if share > 0 && share <= 1 {
		return nil
	}
	return fmt.Errorf("spec: %s: share %v is not within (0, 1]", what, share)
}
