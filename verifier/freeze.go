package verifier

import (
	"slices"
	"time"
)

// heldFloor is the shortest latency that can count as held: below it a busy machine's own hiccups live.
const heldFloor = 20 * time.Millisecond

// heldAbove is the latency beyond which an answer counts as held back, from latencies seen in steady state: half as much
// again as the worst that the baseline showed. It must come from before the fault only; a baseline with queued late
// answers in it would hide them.
func heldAbove(steady []time.Duration) time.Duration {
	if len(steady) == 0 {
		return 0
	}
	return max(heldFloor, slices.Max(steady)*3/2)
}

// frozen marks the samples of freezes: runs of at least three consecutive samples that were held or timed out and whose
// held answers came together, as they do when a stopped process goes on and works off its queue. A prober that was
// itself stopped cannot look like this, since it sends nothing meanwhile. One of them must have timed out: a shorter freeze
// gave every caller its answer in time, and shows as latency. above of zero: no baseline, no marks.
func frozen(samples []Sample, above, period time.Duration) []bool {
	marks := make([]bool, len(samples))
	if above <= 0 {
		return marks
	}
	for a := 0; a < len(samples); a++ {
		b := a
		for b < len(samples) && (held(samples[b], above) || samples[b].Class == Timeout) {
			b++
		}
		if end, ok := bunched(samples[a:b], above, period); ok && timedOut(samples[a:a+end]) {
			for i := a; i < a+end; i++ {
				marks[i] = true
			}
		}
		a = b
	}
	return marks
}

func timedOut(run []Sample) bool {
	return slices.ContainsFunc(run, func(s Sample) bool { return s.Class == Timeout })
}

func held(s Sample, above time.Duration) bool {
	return (s.Class == Good || s.Class == Slow) && s.Latency() > above
}

// bunched tells whether the answers at the end of a run came together, and how many samples the freeze has.
func bunched(run []Sample, above, period time.Duration) (int, bool) {
	end := len(run)
	for end > 0 && !held(run[end-1], above) {
		end--
	}
	first := end
	for first > 0 && held(run[first-1], above) {
		first--
	}
	block := run[first:end]
	if end < leastBad || len(block) < 2 {
		return 0, false
	}
	lo, hi := block[0].Done, block[0].Done
	for _, s := range block {
		lo, hi = min(lo, s.Done), max(hi, s.Done)
	}
	sent := block[len(block)-1].Send - block[0].Send
	return end, hi-lo <= max(int64(period)/2, sent/2)
}
