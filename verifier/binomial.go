package verifier

import "math"

// binomialQuantile is the smallest k with P[X <= k] >= q for X ~ Bin(n, p): how many failures in n probes are still
// ordinary when single probes fail with probability p. Definition: Johnson, Kemp, Kotz, Univariate Discrete
// Distributions, 3rd ed., ch. 3. The sum is exact up to rounding; n is some thousands at most.
func binomialQuantile(n int, p, q float64) int {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	}
	sum := 0.0
	for k := range n {
		sum += binomialPMF(n, k, p)
		if sum >= q {
			return k
		}
	}
	return n
}

// binomialPMF is P[X = k] for X ~ Bin(n, p), by logarithms so that it does not underflow for large n.
func binomialPMF(n, k int, p float64) float64 {
	return math.Exp(logChoose(n, k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

func logChoose(n, k int) float64 {
	return lgamma(n+1) - lgamma(k+1) - lgamma(n-k+1)
}

func lgamma(n int) float64 {
	v, _ := math.Lgamma(float64(n))
	return v
}
