package drills

import "math"

// shareConfidence is the one-sided confidence of a share's bounds.
const shareConfidence = 0.95

// shareBounds are the one-sided 95 % Clopper-Pearson bounds of a share of which k in n were seen (Clopper and Pearson,
// Biometrika 26, 1934). Each holds alone with 95 %; nothing was seen of none: [0, 1].
func shareBounds(k, n int) (lo, hi float64) {
	if n <= 0 {
		return 0, 1
	}
	return lowerShare(k, n), 1 - lowerShare(n-k, n)
}

// lowerShare is the p at which k or more of n have a chance of 5 %.
func lowerShare(k, n int) float64 {
	if k <= 0 {
		return 0
	}
	lo, hi := 0.0, 1.0
	for range 60 {
		mid := (lo + hi) / 2
		if atLeast(k, n, mid) < 1-shareConfidence {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// atLeast is P[X >= k] for X ~ Bin(n, p).
func atLeast(k, n int, p float64) float64 {
	switch {
	case k <= 0 || p >= 1:
		return 1
	case p <= 0:
		return 0
	}
	sum := 0.0
	for i := k; i <= n; i++ {
		sum += math.Exp(lgamma(n+1) - lgamma(i+1) - lgamma(n-i+1) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return min(1, sum)
}

func lgamma(n int) float64 {
	v, _ := math.Lgamma(float64(n))
	return v
}

// judgeShare compares k of n with a least share: met if even the lower bound reaches it, not met if not even the upper bound
// does, else so few samples say nothing.
func judgeShare(k, n int, least Share) Verdict {
	lo, hi := shareBounds(k, n)
	switch {
	case n <= 0:
		return NotMeasured
	case lo >= float64(least):
		return Met
	case hi < float64(least):
		return NotMet
	}
	return Unclear
}
