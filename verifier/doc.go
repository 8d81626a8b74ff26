// Package verifier measures what users of a system see during a drill: probes (black-box checks run many times a
// second) and canaries (numbered writes read back after recovery).
//
// It has two sides that speak the frame protocol of package drills. Agents ([ProbeMain], [CanaryMain]) run in a place —
// a process on the host or an unprivileged container inside a network of the system — and only act, stamp and report.
// The orchestrator's side ([NewProbes], [NewCanary]) starts the agents, writes every raw sample to the run directory and
// computes what the record says. Everything that turns samples into statements ([Outages], [Measure], [Ledger.Settle])
// is pure, so that `verify` can compute it again from the raw files.
//
// Stamps are CLOCK_MONOTONIC nanoseconds: one kernel, comparable between agents and containers, immune to steps of the
// wall clock. They are mapped to wall time by one reading of both clocks that is stored in the raw file.
package verifier
