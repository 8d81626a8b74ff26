package reports

import (
	"cmp"
	"math"
	"slices"

	"github.com/eevans-d/simulacro/drills"
)

// lowerBound is the one-sided 95 % Clopper-Pearson lower bound of k successes in n: the p at which k or more successes
// have a chance of 5 %. Zero drills, or none passed, show nothing: 0.
func lowerBound(k, n int) float64 {
	if n <= 0 || k <= 0 {
		return 0
	}
	lo, hi := 0.0, 1.0
	for range 60 {
		mid := (lo + hi) / 2
		if atLeast(k, n, mid) < 0.05 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// atLeast is the chance of k or more successes in n when each has chance p.
func atLeast(k, n int, p float64) float64 {
	if p <= 0 {
		return 0
	}
	if p >= 1 {
		return 1
	}
	sum := 0.0
	for i := k; i <= n; i++ {
		sum += math.Exp(logChoose(n, i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return min(1, sum)
}

func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n) + 1)
	b, _ := math.Lgamma(float64(k) + 1)
	c, _ := math.Lgamma(float64(n-k) + 1)
	return a - b - c
}

// wilson is the two-sided 95 % Wilson interval of k successes in n.
func wilson(k, n int) (lo, hi float64) {
	if n <= 0 {
		return 0, 1
	}
	const z = 1.959964
	p, m := float64(k)/float64(n), float64(n)
	d := 1 + z*z/m
	center := (p + z*z/(2*m)) / d
	half := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m)) / d
	return max(0, center-half), min(1, center+half)
}

// smallest is the least number of drills, with so many failures among them, whose lower bound reaches the target.
func smallest(failures int, target float64) int {
	if target >= 1 {
		return 0 // no number of drills shows that
	}
	n := failures + 1
	for lowerBound(n-failures, n) < target {
		n++
	}
	return n
}

// Spread is how one measured length was spread over runs, by its upper bounds. P95 is zero below 20 runs, where it would
// be the maximum under another name.
type Spread struct {
	N      int             `json:"n"`
	Median drills.Duration `json:"median"`
	P95    drills.Duration `json:"p95,omitempty"`
	Max    drills.Duration `json:"max"`
	Target drills.Duration `json:"target,omitempty"` // the least one in force over the runs
	Over   int             `json:"over"`             // runs whose upper bound is not below the target that was theirs
}

func spread(values []drills.Duration) Spread {
	s := Spread{N: len(values)}
	if s.N == 0 {
		return s
	}
	slices.SortFunc(values, func(a, b drills.Duration) int { return cmp.Compare(a, b) })
	s.Median, s.Max = values[(s.N-1)/2], values[s.N-1]
	if s.N%2 == 0 {
		s.Median = (values[s.N/2-1] + values[s.N/2]) / 2
	}
	if s.N >= 20 {
		s.P95 = values[int(math.Ceil(0.95*float64(s.N)))-1]
	}
	return s
}
