// Package experiments holds the faults that drills can name, one file and one registry line each (see
// CREATING_FAULTS.md), and the actuators and role resolvers that are not containers: the network partition, Redis
// Sentinel and Patroni.
//
// A fault only plans: it turns its parameters and a scene into changes, which are data. Actuators do what changes say
// and prove it. Nothing here knows Docker: processes are started through a drills.Launcher, addresses are reached
// through a Dial.
package experiments
