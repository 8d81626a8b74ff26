// Package faultlab tries faults on real containers that its tests make, without the command line: actuators, engine, guard
// and helpers as they are wired together. What is left behind is looked for with other means than our own.
package faultlab
