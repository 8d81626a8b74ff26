package drills

import (
	"errors"
	"fmt"
)

// Code tells a program (and the exit code) what kind of trouble an Error is.
type Code string

// The closed set of codes. Input is found offline (exit 2); everything that `ready` finds is
// Blocked (exit 3); Internal is our own failure or the machine's (exit 10).
const (
	Input    Code = "input"
	Usage    Code = "usage"
	Blocked  Code = "blocked"
	Locked   Code = "locked"
	Residual Code = "residue"
	Internal Code = "internal"
)

// Error is an error made where a person can act: a code, a sentence and a hint.
type Error struct {
	Code    Code
	Message string
	Hint    string
	Err     error
}

// Error returns the sentence, the cause and the hint in one line.
func (e *Error) Error() string {
	s := e.Message
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error without a cause.
func Errorf(code Code, hint, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// Wrap makes an Error around a cause.
func Wrap(code Code, err error, message, hint string) *Error {
	return &Error{Code: code, Message: message, Hint: hint, Err: err}
}

// CodeOf returns the code of the first Error in err's tree, Internal when there is none, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}
