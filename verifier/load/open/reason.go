package open

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
)

// classify says what a broken attempt was, and its text without addresses and ports.
func classify(err error) (Class, string) {
	var errno syscall.Errno
	var dns *net.DNSError
	switch {
	case errors.As(err, &errno):
		return classOf(errno), errno.Error()
	case timedOut(err):
		return Timeout, "timeout"
	case errors.Is(err, context.Canceled): // only the end of the load cancels
		return Timeout, "not answered when the load ended"
	case errors.As(err, &dns):
		return Refused, "name not resolved: " + dns.Name
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Failed, "closed without a word"
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return Failed, fmt.Sprintf("%.200s", err)
}

func classOf(e syscall.Errno) Class {
	switch e {
	case syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH:
		return Refused
	case syscall.ETIMEDOUT:
		return Timeout
	case syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM:
		return Observer
	}
	return Failed
}

func timedOut(err error) bool {
	var t net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
