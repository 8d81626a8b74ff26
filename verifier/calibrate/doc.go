// Package calibrate measures the error of the probes themselves: a fault server in this process goes down and comes back at
// instants that it stamps itself, a prober in a process of its own watches it, and what was measured is compared with what
// was true. The figures are this host's, now: a busier one has others.
package calibrate
