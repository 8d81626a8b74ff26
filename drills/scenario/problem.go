package scenario

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// Problem is one thing wrong with a file, where a person can find and mend it.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`   // from 1; zero when the whole file is meant
	Column  int    `json:"column,omitempty"` // from 1
	Path    string `json:"path,omitempty"`   // such as method[0].with.from
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// String is one line: file:line:column: path: message (hint).
func (p Problem) String() string {
	s := p.File
	if p.Line > 0 {
		s += fmt.Sprintf(":%d:%d", p.Line, p.Column)
	}
	if p.Path != "" {
		s += ": " + p.Path
	}
	s += ": " + p.Message
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}

// Errors is everything wrong with a file, in the file's order. It is never empty when returned as an error, and its
// tree holds a *drills.Error of code Input.
type Errors []Problem

// Error prints one problem per line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets drills.CodeOf see that the input is at fault.
func (e Errors) Unwrap() error {
	return drills.Errorf(drills.Input, "", "%d problem(s) in the file", len(e))
}

// sorted returns the problems in the file's order, each once.
func (e Errors) sorted() Errors {
	out := slices.Clone(e)
	slices.SortStableFunc(out, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(out)
}
