// Package drills is the domain of simulacro: what a system, a drill, a fault and a run are,
// how a run moves through its phases, how every change is undone, and how a journal of
// events folds into the one record that every report is rendered from.
//
// It imports the standard library only. Everything that touches the world (Docker, YAML,
// Prometheus, files) is an adapter that imports this package; adapters never import each other,
// and only cmd/simulacro wires them together.
package drills
