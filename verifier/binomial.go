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

// UpperRate is the one-sided upper confidence limit of a rate of which k in n were seen (C. J. Clopper, E. S. Pearson, The use
// of confidence or fiducial limits illustrated in the case of the binomial, Biometrika 26, 1934): the p with
// P[X <= k] = 1 - confidence for X ~ Bin(n, p). With k = 0 that is 1 - (1 - confidence)^(1/n), about 3/n at 95 %. Nothing
// seen (n = 0) bounds nothing: 1.
func UpperRate(k, n int, confidence float64) float64 {
	if n <= 0 || k >= n {
		return 1
	}
	lo, hi := float64(k)/float64(n), 1.0
	for range 60 {
		if p := (lo + hi) / 2; binomialCDF(n, k, p) > 1-confidence {
			lo = p
		} else {
			hi = p
		}
	}
	return hi
}

// binomialCDF is P[X <= k] for X ~ Bin(n, p), 0 < p < 1.
func binomialCDF(n, k int, p float64) float64 {
	sum := 0.0
	for i := range k + 1 {
		sum += binomialPMF(n, i, p)
	}
	return sum
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
