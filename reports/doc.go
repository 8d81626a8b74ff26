// Package reports renders records: pure functions from one drills.Record (or many) to text, JSON, JUnit and HTML.
// The same record always gives the same bytes, nothing is judged here, and nothing that the record knows
// to be missing is left out: what was not measured says so in every format.
package reports
