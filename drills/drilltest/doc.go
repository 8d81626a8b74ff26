// Package drilltest holds hand-written fakes of the seams of package drills and the conformance suites that every
// implementation of a seam must pass, the fakes included. It is never linked into a product binary.
package drilltest
