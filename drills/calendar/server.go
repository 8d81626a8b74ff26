package calendar

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

const (
	// lookEvery bounds every sleep, so that a stepped or suspended clock is noticed.
	lookEvery = time.Minute
	// retryEvery is how often a waiting slot is looked at again.
	retryEvery = 5 * time.Second
	// farAway is when a calendar without any slot ahead is looked at again.
	farAway = 24 * time.Hour
)

// Hooks are what the server calls. Run runs a drill to its end, restored and closed; it is called for one slot at a
// time. Passed is told of every slot that does not run, once it is claimed. Busy names what keeps the system
// occupied, such as another process's run, "" when nothing does. Held gives the reason why nothing may start (a halt).
type Hooks struct {
	Run    func(ctx context.Context, s drills.Slot, e drills.Entry) error
	Passed func(ctx context.Context, s drills.Slot, e drills.Entry, d Decision) error
	Busy   func() string
	Held   func() (string, bool)
}

// Server serves one calendar: every slot that comes due is run, or claimed as missed or blocked with its reason.
type Server struct {
	cal    drills.Calendar
	lines  []line
	claims Claims
	hooks  Hooks
	log    *zap.Logger
	who    string

	seen    time.Time // slots due up to here were taken up
	next    time.Time // nothing is due after seen and before this
	waiting []drills.Slot
	ran     string    // what this server itself ran last …
	ranTo   time.Time // … and until when
}

// NewServer makes a server; it refuses a calendar that cannot be read.
func NewServer(cal drills.Calendar, claims Claims, hooks Hooks, log *zap.Logger) (*Server, error) {
	lines, err := parse(cal)
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	return &Server{cal: cal, lines: lines, claims: claims, hooks: hooks, log: log, who: fmt.Sprintf("pid %d on %s", os.Getpid(), host)}, nil
}

// Serve takes up where serving ended last, and goes on until ctx ends or claims can no longer be kept. A drill that fails
// to run does not end it. On a calendar that was never served, slots of the past are no business of ours.
func (s *Server) Serve(ctx context.Context) error {
	served, err := s.claims.Served()
	if err != nil {
		return err
	}
	s.seen = served
	if served.IsZero() {
		s.seen = time.Now()
		if err := s.claims.Mark(s.seen); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		if err := s.step(ctx, time.Now()); err != nil {
			return err
		}
		s.sleep(ctx)
	}
	return nil
}

// step takes up what has come due and decides it.
func (s *Server) step(ctx context.Context, now time.Time) error {
	todo := s.waiting
	if !now.Before(s.next) {
		todo = append(todo, dueOf(s.lines, s.seen, now)...)
	}
	if now.After(s.seen) {
		s.seen = now
	}
	if len(todo) == 0 {
		return nil
	}
	s.waiting = nil
	for i, slot := range todo {
		if ctx.Err() != nil {
			s.waiting = append(s.waiting, todo[i:]...)
			break
		}
		if err := s.take(ctx, slot); err != nil {
			return err
		}
	}
	return s.claims.Mark(s.decided())
}

// decided is up to when every slot is decided: to just before the first one that waits.
func (s *Server) decided() time.Time {
	if len(s.waiting) == 0 {
		return s.seen
	}
	first := slices.MinFunc(s.waiting, func(a, b drills.Slot) int { return a.Due.Compare(b.Due) })
	return first.Due.Add(-time.Nanosecond)
}

func (s *Server) take(ctx context.Context, slot drills.Slot) error {
	d := decide(s.cal, s.lines, slot, time.Now(), s.busy())
	if reason, held := s.held(); held && d.Action != Miss {
		d = Decision{Block, reason}
	}
	if d.Action == Miss && slot.Due.Before(s.ranTo) && s.ran != "" {
		d.Reason = "another drill was running: " + s.ran
	}
	if d.Action == Wait {
		s.waiting = append(s.waiting, slot)
		return nil
	}
	e, _ := EntryOf(s.cal, slot)
	mine, err := s.claims.Claim(Claim{Slot: slot, Entry: e, Calendar: s.cal.Digest, Decision: d, At: time.Now().UTC(), Who: s.who})
	if err != nil || !mine {
		return err
	}
	s.act(ctx, slot, e, d)
	return nil
}

// act runs or reports a slot that is ours.
func (s *Server) act(ctx context.Context, slot drills.Slot, e drills.Entry, d Decision) {
	log := s.log.With(zap.String("slot", slot.ID()), zap.String("drill", e.Drill))
	if d.Action != Run {
		log.Warn("slot is not run", zap.String("action", string(d.Action)), zap.String("reason", d.Reason))
		if s.hooks.Passed == nil {
			return
		}
		if err := s.hooks.Passed(ctx, slot, e, d); err != nil {
			log.Error("the slot could not be recorded", zap.Error(err))
		}
		return
	}
	log.Info("slot begins")
	err := s.hooks.Run(ctx, slot, e)
	s.ran, s.ranTo = cmp.Or(e.Name, e.Drill), time.Now()
	if err != nil {
		log.Error("slot ended with an error", zap.Error(err))
		return
	}
	log.Info("slot ended")
}

func (s *Server) busy() string {
	if s.hooks.Busy == nil {
		return ""
	}
	return s.hooks.Busy()
}

func (s *Server) held() (string, bool) {
	if s.hooks.Held == nil {
		return "", false
	}
	return s.hooks.Held()
}

// sleep waits until the next slot is due, at most a minute, and briefly while a slot waits.
func (s *Server) sleep(ctx context.Context) {
	wait := lookEvery
	if len(s.waiting) > 0 {
		wait = retryEvery
	}
	if !s.next.After(s.seen) {
		s.next = s.seen.Add(farAway)
		if next := nextOf(s.lines, s.seen, 1); len(next) > 0 {
			s.next = next[0].Due
		}
	}
	wait = min(wait, max(0, time.Until(s.next)))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
