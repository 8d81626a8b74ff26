package verifier

import "math"

const (
	// leastFailure is the failure rate assumed of a system that never failed in its baseline: some hundred good probes
	// cannot prove a smaller one (rule of three: 3/n).
	leastFailure = 0.001
	// alarmLevel is ln(10^6), rounded down: the evidence, as a likelihood ratio, that makes a stretch an outage. At a
	// baseline of 99.5 % that is three failures in a row (each counts ln(0.5/0.005) = 4.6), at 95 % six.
	alarmLevel = 13.8
	// leastBad failures make an outage at the best baseline: two are not enough evidence against leastFailure.
	leastBad = 3
)

// failureRate is the probability with which a single probe fails in steady state, from the share of good ones.
func failureRate(base float64) float64 {
	return min(max(1-base, leastFailure), 0.95)
}

// confidence is that of the upper limit of the failure rate, from a baseline's counts.
const confidence = 0.95

// noise is the failure rate that a system may have whose baseline showed so many failures: the upper confidence limit. Two
// hundred good probes in a row do not tell a system without errors from one with half a per cent; taken for the former, the
// latter would show outages of three probes by chance (in one of a few hundred drills of a minute, see calibrate's null
// drills).
func noise(bad, n int) float64 { return failureRate(1 - UpperRate(bad, n, confidence)) }

// cusum is Page's cumulative sum test for a rise of the failure rate from p to q (E. S. Page, Continuous inspection
// schemes, Biometrika 41, 1954): every failure adds ln(q/p), every success ln((1-q)/(1-p)), never below zero; an
// alarm is raised at alarmLevel. The sample after the last zero is the most likely beginning.
type cusum struct {
	bad, good float64
	sum       float64
	start     int // index of the first sample of the present excursion
}

// newCusum wants 0 < p < q < 1.
func newCusum(p, q float64) *cusum {
	return &cusum{bad: math.Log(q / p), good: math.Log((1 - q) / (1 - p))}
}

// add takes sample i and tells whether the alarm is up.
func (c *cusum) add(i int, bad bool) bool {
	if bad {
		if c.sum == 0 {
			c.start = i
		}
		c.sum += c.bad
	} else {
		c.sum = max(0, c.sum+c.good)
	}
	return c.sum >= alarmLevel
}

func (c *cusum) reset() { c.sum = 0 }

// detector finds the beginning of an outage: a sharp test for half of the probes failing, which places the beginning
// exactly, and a patient one for a tenth, which sees a rate beyond the baseline that the sharp one never would.
type detector struct {
	sharp, patient *cusum
	pending        int // sample at which the patient one raised the alarm while the sharp one was still undecided; -1: none
}

// newDetector takes the failure rate of steady state.
func newDetector(p float64) *detector {
	return &detector{sharp: newCusum(p, (1+p)/2), patient: newCusum(p, p+0.1*(1-p)), pending: -1}
}

// add takes sample i and returns, once there is an outage, its first bad sample and the one that completed the evidence.
func (d *detector) add(i int, bad bool) (first, alarm int, ok bool) {
	if d.patient.add(i, bad) && d.pending < 0 {
		d.pending = i
	}
	alarm = i
	switch {
	case d.sharp.add(i, bad):
		first = d.sharp.start
	case d.pending >= 0 && d.sharp.sum == 0:
		first, alarm = d.patient.start, d.pending
	default:
		return 0, 0, false
	}
	d.sharp.reset()
	d.patient.reset()
	d.pending = -1
	return first, alarm, true
}
