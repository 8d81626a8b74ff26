// Package defects holds the named faults of the real system that this stand-in can be told to have,
// at start (DEFECTS) or at run time (PUT /_reference/defects). A drill must be seen to fail on the
// broken variant, so each switch breaks exactly one recovery mechanism and nothing else.
package defects

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Name is one defect.
type Name string

// The defects that exist.
const (
	// SubscriberNeverResubscribes ends the Redis subscriber loop at its first connection error.
	SubscriberNeverResubscribes Name = "subscriber-never-resubscribes"
	// ReadinessLies makes readiness answer 200 whatever the dependencies say.
	ReadinessLies Name = "readiness-lies"
	// BreakerCounts4xx lets the clients' own mistakes open the circuit breaker.
	BreakerCounts4xx Name = "breaker-counts-4xx"
	// BreakerDisabled lets every call through, whatever the dependency does.
	BreakerDisabled Name = "breaker-disabled"
	// BreakerNeverCloses keeps a circuit breaker open once it is.
	BreakerNeverCloses Name = "breaker-never-closes"
	// BreakerNoHalfOpen closes a circuit breaker when its time is over, without a trial call (as the real system does).
	BreakerNoHalfOpen Name = "breaker-no-half-open"
	// RateLimit100 limits every client to 100 requests a minute.
	RateLimit100 Name = "rate-limit-100"
	// OwnEchoTwice delivers a broadcast to the publishing instance's own connections again when it comes back from Redis.
	OwnEchoTwice Name = "own-echo-twice"
	// ActiveConnectionsZero makes every scrape find ggrt_active_connections at 0.
	ActiveConnectionsZero Name = "active-connections-zero"
	// LatencyNeverObserved leaves ggrt_message_latency_seconds without samples.
	LatencyNeverObserved Name = "latency-never-observed"
	// StreamNeverReplays begins at the stream's end after every interruption, so that what came meanwhile is missed.
	StreamNeverReplays Name = "stream-never-replays"
	// SlowConsumerBlocks makes every broadcast wait for whoever does not read, as a loop over the connections does that sends to
	// one after the other and has neither queues nor deadlines.
	SlowConsumerBlocks Name = "slow-consumer-blocks"
	// HalfOpenKept keeps connections whose peer gives no sign of life.
	HalfOpenKept Name = "half-open-kept"
	// SocketsOutliveToken keeps connections whose token has expired.
	SocketsOutliveToken Name = "sockets-outlive-token"
	// NotificationAcksEarly acknowledges notifications that Redis never took.
	NotificationAcksEarly Name = "notification-acks-early"
)

// All lists every defect, in the order in which they are documented.
func All() []Name {
	return []Name{
		SubscriberNeverResubscribes, ReadinessLies, BreakerCounts4xx, BreakerDisabled, BreakerNeverCloses, BreakerNoHalfOpen, RateLimit100,
		OwnEchoTwice, ActiveConnectionsZero, LatencyNeverObserved, StreamNeverReplays, NotificationAcksEarly,
		SlowConsumerBlocks, HalfOpenKept, SocketsOutliveToken,
	}
}

// Set is the defects that are on. Its methods may be called from any goroutine.
type Set struct {
	known []Name

	mu      sync.Mutex
	on      map[Name]bool
	changed chan struct{}
}

// Parse reads a comma separated list; an empty list is the sound system. Every unknown name is
// reported at once.
func Parse(list string) (*Set, error) { return ParseOf(All(), list) }

// ParseOf is Parse for a service with defects of its own.
func ParseOf(known []Name, list string) (*Set, error) {
	s := &Set{known: known, changed: make(chan struct{})}
	return s, s.Replace(strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }))
}

// Replace makes names the complete set, or changes nothing when one of them is unknown.
func (s *Set) Replace(names []string) error {
	on := map[Name]bool{}
	var unknown []string
	for _, n := range names {
		if !slices.Contains(s.known, Name(n)) {
			unknown = append(unknown, n)
			continue
		}
		on[Name(n)] = true
	}
	if len(unknown) > 0 {
		return fmt.Errorf("unknown defect %s; there are %v", strings.Join(unknown, ", "), s.known)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = on
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// On reports whether the defect is switched on.
func (s *Set) On(n Name) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on[n]
}

// List names the defects that are on, sorted; never nil, so that it is a JSON array.
func (s *Set) List() []Name {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.on) == 0 {
		return []Name{}
	}
	return slices.Sorted(maps.Keys(s.on))
}

// Changed is closed at the next Replace. Take it before reading On, or a change can be missed.
func (s *Set) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}
