package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"

	"github.com/gobwas/ws"

	"github.com/eevans-d/simulacro/verifier/load/epoll"
)

var errUnconfirmed = errors.New("the subscription was not confirmed in time")

// tokenError is a login that failed while connections were opened.
type tokenError struct{ err error }

func (e tokenError) Error() string { return "login: " + e.err.Error() }
func (e tokenError) Unwrap() error { return e.err }

// closedError is a close frame of the target.
type closedError struct {
	code ws.StatusCode
	text string
}

func (e closedError) Error() string { return fmt.Sprintf("closed with %d %.100s", e.code, e.text) }

// ours tells whether an attempt failed for want of something on the generator's side, not by the target's doing.
func ours(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return unauthorised(err)
}

// unauthorised tells whether the target did not accept our token, which says nothing about what it can carry.
func unauthorised(err error) bool {
	status := statusOf(err)
	return status == 401 || status == 403
}

// statusOf is the status that a handshake was answered with; zero when it is about something else.
func statusOf(err error) int {
	var library ws.StatusError
	var raw epoll.StatusError
	switch {
	case errors.As(err, &library):
		return int(library)
	case errors.As(err, &raw):
		return int(raw)
	}
	return 0
}

func timedOut(err error) bool {
	var t net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// reason says an error without addresses and ports, so that equal causes are counted together.
func reason(err error) string {
	var closed closedError
	var bye epoll.CloseError
	var broken epoll.ProtocolError
	var errno syscall.Errno
	switch {
	case statusOf(err) != 0:
		return fmt.Sprintf("handshake answered %d", statusOf(err))
	case errors.As(err, &closed):
		return closed.Error()
	case errors.As(err, &bye):
		return bye.Error()
	case errors.As(err, &broken):
		return broken.Error()
	case errors.As(err, &errno):
		return errno.Error()
	case timedOut(err):
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, epoll.ErrEOF):
		return "closed without a word"
	}
	var dns *net.DNSError
	var u *url.Error
	if errors.As(err, &dns) {
		return "name not resolved: " + dns.Name
	}
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Sprintf("%.200s", err)
}
