package load

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// quiet is one client that falls silent. Only the generator's own goroutine touches it.
type quiet struct {
	fd     int // -1: closed
	before look
	from   time.Time // when it had fallen silent; zero: not yet
	proven bool
	seen   time.Time // when the target was last known to have the connection
	ended  time.Time // when it was known that the target had ended it
	how    string
	trust  bool // the kernel tells the window

	last   look
	most   int // bytes unread at most
	credit float64
	closed bool // the window was seen closed
}

// hush makes the client fall silent. A half-open one waits until the target has acknowledged everything, or what is sent again
// would show that it lives. It is true once the client is silent.
func (q *quiet) hush(a QuietArgs) (bool, error) {
	l, err := lookAt(q.fd)
	if err != nil {
		return false, err
	}
	if a.Kind == drills.HalfOpenClients {
		if l.sent > 0 {
			return false, nil
		}
		if err := vanish(q.fd, a.Ask.D()); err != nil {
			return false, err
		}
	} else if err := stall(q.fd); err != nil {
		return false, err
	}
	q.before, q.last, q.trust = l, l, l.window > 0
	q.from = time.Now()
	q.seen = q.from
	return true, nil
}

// watch looks at the client once; slept is the time since the last look.
func (q *quiet) watch(a QuietArgs, slept time.Duration, scratch []byte) {
	if q.fd < 0 || q.from.IsZero() {
		return
	}
	l, err := lookAt(q.fd)
	now := time.Now()
	if err != nil {
		return // the next look tells; without any, nothing is claimed
	}
	if how := endOf(q.fd, l, q.before); how != "" {
		q.ended, q.how = now, how
		q.release()
		return
	}
	if a.Kind == drills.HalfOpenClients {
		if l.unanswered > q.last.unanswered { // something came from the target since the last look, and was not answered
			q.proven = true
			if before := now.Add(-slept); before.After(q.seen) {
				q.seen = before
			}
		}
		q.last = l
		return
	}
	q.seen, q.last, q.most = now, l, max(q.most, l.unread)
	q.closed = q.closed || q.trust && l.unread > 0 && l.window < max(l.segment, 1)
	q.proven = q.closed || !q.trust && a.Buffer > 0 && l.unread >= a.Buffer/2
	if q.credit += float64(a.Read) * slept.Seconds(); q.credit >= 1 {
		q.credit -= float64(sip(q.fd, int(q.credit), scratch))
		q.credit = min(q.credit, float64(a.Read)) // what was not there to read is not read later at once
	}
}

// silent tells whether the client has fallen silent and it is proven; one that the target has ended meanwhile was.
func (q *quiet) silent() bool { return q.proven || !q.from.IsZero() && !q.ended.IsZero() }

func (q *quiet) release() {
	if q.fd >= 0 {
		letGo(q.fd)
		q.fd = -1
	}
}
