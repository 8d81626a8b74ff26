// Package compose is the Docker runtime: it finds the members of a Compose project on an engine, acts on their
// containers, starts this same binary in the places where a drill needs it, and holds the guard that undoes a drill
// when the orchestrator cannot.
//
// It is the only package that imports the Docker client. Everything it makes carries the labels of labels.go, so that
// whatever is left of a run can be found by anybody, and none of it is ever a member of the system.
//
// One engine, local, Linux, over a unix socket: a remote one is refused with the reason (guard and crash helper need
// the engine's own host).
package compose
