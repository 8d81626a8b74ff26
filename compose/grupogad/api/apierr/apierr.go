// Package apierr is the one error that a handler, the store and the circuit breaker all understand:
// a status that the client gets to see, and a detail in words. It exists so that the breaker can tell
// a client's mistake (4xx) from a failing dependency without knowing HTTP handlers or SQL.
package apierr

import (
	"errors"
	"fmt"
	"net/http"
)

// Error carries the HTTP status to answer with and the sentence that goes into `detail`.
type Error struct {
	Status int
	Detail string
	Err    error
}

// New returns an Error without a cause.
func New(status int, format string, args ...any) *Error {
	return &Error{Status: status, Detail: fmt.Sprintf(format, args...)}
}

// Unavailable says that a dependency could not answer; err is what it said.
func Unavailable(dependency string, err error) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Detail: dependency + " is not available", Err: err}
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Detail
	}
	return e.Detail + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// IsClient reports whether err is the client's own mistake (a 4xx).
func IsClient(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status >= 400 && e.Status < 500
}
