package verifier

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// result is what a check found out; the scheduler adds the stamps.
type result struct {
	class Class
	text  string
}

func good() result { return result{class: Good} }

// transport classifies an error of the network. known tells whether the name has resolved before: a killed container's
// name vanishes from the engine's DNS, so "no such host" for a known name is the outage itself, while for a name that
// never resolved it is a mistake of ours (the system file's, most likely).
func transport(err error, known bool) result {
	if err == nil {
		return good()
	}
	text := brief(err)
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return ofDNS(dns, known)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return result{Timeout, "no answer in time"}
	case errors.Is(err, context.Canceled):
		return result{Observer, "cancelled by us"}
	case isAny(err, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL,
		syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EACCES, syscall.EPERM):
		return result{Observer, text}
	case isAny(err, syscall.ECONNREFUSED, syscall.EHOSTUNREACH):
		return result{Refused, text}
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return result{Timeout, "no answer in time"}
	}
	return result{Failed, text}
}

// lookupText begins the text of a name that did not resolve.
const lookupText = "lookup "

func ofDNS(err *net.DNSError, known bool) result {
	text := lookupText + err.Name + ": " + err.Err
	switch {
	case !known:
		return result{Observer, text}
	case err.IsTimeout:
		return result{Timeout, text}
	}
	return result{Refused, text}
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// brief is a short text for an error without addresses' ephemeral ports, so that texts can be interned.
func brief(err error) string {
	var errno syscall.Errno
	var op *net.OpError
	switch {
	case errors.As(err, &op) && errors.As(err, &errno):
		return op.Op + ": " + errno.Error()
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed before the answer"
	case errors.Is(err, net.ErrClosed):
		return "connection closed"
	}
	return clip(err.Error())
}

// clip keeps a text on one line and below 120 bytes.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 120 {
		s = strings.ToValidUTF8(s[:117], "") + "..."
	}
	return s
}

// redisReply classifies an error reply by its code word. The server answered, so it is never refused or timeout.
func redisReply(err replyError) result {
	code, _, _ := strings.Cut(string(err), " ")
	text := clip(string(err))
	switch code {
	case "NOAUTH", "WRONGPASS", "NOPERM":
		return result{Unauthorised, text}
	case "WRONGTYPE":
		return result{Malformed, text}
	case "ERR":
		low := strings.ToLower(string(err))
		if strings.Contains(low, "unknown command") || strings.Contains(low, "syntax error") || strings.Contains(low, "wrong number of arguments") {
			return result{Malformed, text}
		}
		if strings.Contains(low, "max number of clients") {
			return result{Failed, text}
		}
		if strings.Contains(low, "auth") && strings.Contains(low, "password") {
			return result{Unauthorised, text}
		}
	}
	return result{Failed, text} // READONLY, LOADING, MASTERDOWN, NOREPLICAS, MISCONF, OOM, …: the system's state
}

// postgres classifies an error of pgx by its SQLSTATE, else as the network's.
func postgres(err error, known bool) result {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return transport(err, known)
	}
	text := clip(pg.Code + " " + pg.Message)
	switch {
	case pg.Code == "28P01", pg.Code == "28000", pg.Code == "42501":
		return result{Unauthorised, text}
	case strings.HasPrefix(pg.Code, "42"), pg.Code == "3D000", pg.Code == "3F000", strings.HasPrefix(pg.Code, "22"):
		return result{Malformed, text}
	}
	return result{Failed, text} // 57P01 shutdown, 57P03 starting up, 25006 read-only, 53300 too many connections, …
}
