// Package limit is the per-client request limit: a sliding window of one minute in steps of a second.
// A window (not a token bucket) because the real system's 101st request within a minute is refused,
// and a bucket would let it through after 0.6 s.
package limit

import (
	"sync"
	"time"
)

const (
	steps      = 60
	maxClients = 10_000
	overflow   = "\x00overflow" // one shared window for clients beyond maxClients, so that memory stays bounded
)

// Limiter counts requests per client key. Its methods may be called from any goroutine.
type Limiter struct {
	perMinute func() int
	mu        sync.Mutex
	clients   map[string]*window
	swept     int64
}

// New takes the limit as a function, because a defect can change it at run time.
func New(perMinute func() int) *Limiter {
	return &Limiter{perMinute: perMinute, clients: map[string]*window{}}
}

// Verdict is the answer for one request.
type Verdict struct {
	OK         bool
	Limit      int           // requests a minute
	Remaining  int           // what is left of it now
	RetryAfter time.Duration // until a request fits again, at most; 0 when OK
}

// Allow counts one request of the client and says whether it may pass. Refused requests are not counted.
func (l *Limiter) Allow(client string) Verdict {
	now := time.Now().Unix()
	limit := l.perMinute()
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.window(client, now)
	w.advance(now)
	if w.total >= limit {
		return Verdict{Limit: limit, RetryAfter: w.firstFree(now)}
	}
	w.counts[now%steps]++
	w.total++
	return Verdict{OK: true, Limit: limit, Remaining: limit - w.total}
}

func (l *Limiter) window(client string, now int64) *window {
	if w, ok := l.clients[client]; ok {
		return w
	}
	if len(l.clients) >= maxClients && now > l.swept {
		l.sweep(now)
	}
	if len(l.clients) >= maxClients {
		client = overflow
	}
	w, ok := l.clients[client]
	if !ok {
		w = &window{last: now}
		l.clients[client] = w
	}
	return w
}

// sweep forgets clients whose window has run empty; at most once a second, since it looks at them all.
func (l *Limiter) sweep(now int64) {
	l.swept = now
	for k, w := range l.clients {
		if now-w.last >= steps {
			delete(l.clients, k)
		}
	}
}

type window struct {
	counts [steps]int32
	last   int64 // second of the newest step
	total  int
}

// advance clears the steps that have left the window since last.
func (w *window) advance(now int64) {
	if now-w.last >= steps {
		*w = window{last: now}
		return
	}
	for s := w.last + 1; s <= now; s++ {
		w.total -= int(w.counts[s%steps])
		w.counts[s%steps] = 0
	}
	w.last = max(w.last, now)
}

// firstFree is the time until the oldest counted step leaves the window.
func (w *window) firstFree(now int64) time.Duration {
	for s := now - steps + 1; s <= now; s++ {
		if w.counts[((s%steps)+steps)%steps] > 0 {
			return time.Duration(s+steps-now) * time.Second
		}
	}
	return steps * time.Second
}
