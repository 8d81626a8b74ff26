// Package calibrate measures the measuring itself: a fault server goes down and comes back at instants that it stamps itself, a
// store loses what only it knows, null drills have no fault at all, and what probes and canaries in processes of their own made of
// it is compared with what was true, and with what is promised (Judge). The figures are this host's, now: a busier one has others.
package calibrate
