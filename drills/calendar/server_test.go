package calendar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/eevans-d/simulacro/drills"
)

// memory is the claims of a test.
type memory struct {
	mu     sync.Mutex
	claims []Claim
	served time.Time
}

func (m *memory) Claim(c Claim) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.ContainsFunc(m.claims, func(x Claim) bool { return x.Slot == c.Slot }) {
		return false, nil
	}
	m.claims = append(m.claims, c)
	return true, nil
}

func (m *memory) Served() (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.served, nil
}

func (m *memory) Mark(t time.Time) error { m.mu.Lock(); defer m.mu.Unlock(); m.served = t; return nil }

func (m *memory) count(a Action) int {
	n := 0
	for _, c := range m.claims {
		if c.Action == a {
			n++
		}
	}
	return n
}

// serve runs a server in the bubble for that long.
func serve(t *testing.T, c drills.Calendar, claims Claims, h Hooks, d time.Duration) {
	t.Helper()
	s, err := NewServer(c, claims, h, zaptest.NewLogger(t, zaptest.Level(zaptest.NewLogger(t).Level()+2)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := s.Serve(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestNinetyDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it begins on 2000-01-01T00:00:00Z
		m := &memory{}
		var ran []string
		h := Hooks{Run: func(ctx context.Context, s drills.Slot, e drills.Entry) error {
			if late := time.Since(s.Due); late != 0 {
				t.Errorf("%s began %s late", s.ID(), late)
			}
			ran = append(ran, s.ID())
			time.Sleep(10 * time.Minute)
			return errors.New("a drill that fails does not end serving")
		}}
		c := cal(drills.Entry{Name: "monthly", Cron: "0 6 1 * *", Drill: "a"}, drills.Entry{Name: "weekly", Cron: "30 6 * * 1", Drill: "b"})
		c.Blackouts = []drills.Blackout{{From: time.Date(2000, 1, 31, 0, 0, 0, 0, time.UTC), To: time.Date(2000, 2, 1, 0, 0, 0, 0, time.UTC), Reason: "freeze"}}
		serve(t, c, m, h, 90*24*time.Hour)
		if len(ran) != 3+12 || m.count(Block) != 1 || m.count(Miss) != 0 || ran[0] != "monthly@2000-01-01T06:00:00Z" {
			t.Errorf("%d runs, %d blocked, %d missed: %v", len(ran), m.count(Block), m.count(Miss), ran)
		}
	})
}

func TestTwoServersRunASlotOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		var mu sync.Mutex
		ran := map[string]int{}
		h := Hooks{Run: func(ctx context.Context, s drills.Slot, e drills.Entry) error {
			mu.Lock()
			defer mu.Unlock()
			ran[s.ID()]++
			return nil
		}}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { serve(t, cal(drills.Entry{Name: "e", Cron: "0 * * * *"}), m, h, 48*time.Hour+time.Second) })
		}
		wg.Wait()
		if len(ran) != 48 {
			t.Errorf("%d slots ran", len(ran))
		}
		for id, n := range ran {
			if n != 1 {
				t.Errorf("%s ran %d times", id, n)
			}
		}
	})
}

func TestAfterTheServerWasDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{served: time.Now().Add(-3*24*time.Hour - 30*time.Minute)} // 23:30 three days before
		var ran, passed []string
		h := Hooks{
			Run: func(ctx context.Context, s drills.Slot, e drills.Entry) error { ran = append(ran, s.ID()); return nil },
			Passed: func(ctx context.Context, s drills.Slot, e drills.Entry, d Decision) error {
				passed = append(passed, fmt.Sprintf("%s %s", s.ID(), d.Action))
				return errors.New("and recording fails")
			},
		}
		c := cal(drills.Entry{Name: "once", Cron: "30 23 * * *", Missed: drills.RunOnce}, drills.Entry{Name: "skip", Cron: "45 23 * * *"})
		serve(t, c, m, h, time.Minute)
		if want := []string{"once@1999-12-31T23:30:00Z"}; !slices.Equal(ran, want) {
			t.Errorf("ran %v, want %v", ran, want)
		}
		// 28 (skip), 29, 30, 31 (skip) of December; run-once of 29 and 30.
		if len(passed) != 6 || m.count(Miss) != 6 {
			t.Errorf("passed over: %v", passed)
		}
		if m.served.Before(time.Now().Add(-2 * time.Minute)) {
			t.Errorf("served up to %v", m.served)
		}
	})
}

func TestWhileAnotherRunIsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		begin := time.Now()
		var at []time.Duration
		h := Hooks{
			Run: func(ctx context.Context, s drills.Slot, e drills.Entry) error {
				at = append(at, time.Since(begin))
				return nil
			},
			Busy: func() string { return map[bool]string{true: "run x is on"}[time.Since(begin) < 20*time.Minute] },
		}
		c := cal(drills.Entry{Name: "once", Cron: "10 0 * * *", Missed: drills.RunOnce}, drills.Entry{Name: "skip", Cron: "15 0 * * *"}, drills.Entry{Name: "later", Cron: "20 0 * * *"})
		serve(t, c, m, h, 15*time.Minute+2*time.Second)
		if m.served.After(begin.Add(10 * time.Minute)) {
			t.Errorf("marked as served up to %s although a slot waits", m.served)
		}
		serve(t, c, m, h, 10*time.Minute) // a new server finds the waiting slot again
		if len(at) != 2 || at[0] != 20*time.Minute || at[1] != 20*time.Minute {
			t.Errorf("ran at %v", at)
		}
		if m.count(Miss) != 1 {
			t.Errorf("claims: %+v", m.claims)
		}
	})
}

func TestOwnLongRunAndHalt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		begin := time.Now()
		h := Hooks{
			Run: func(ctx context.Context, s drills.Slot, e drills.Entry) error {
				time.Sleep(30 * time.Minute)
				return nil
			},
			Held: func() (string, bool) { return "halted by ana: incident", time.Since(begin) > time.Hour },
		}
		c := cal(drills.Entry{Name: "long", Cron: "10 * * * *"}, drills.Entry{Name: "skip", Cron: "20 * * * *"})
		serve(t, c, m, h, 100*time.Minute)
		var got []string
		for _, x := range m.claims {
			got = append(got, fmt.Sprintf("%s %s %s", x.Slot.Entry, x.Action, x.Reason))
		}
		want := "long run |skip missed another drill was running: long|long blocked halted by ana: incident|skip blocked halted by ana: incident"
		if strings.Join(got, "|") != want {
			t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
		}
	})
}

func TestServerRefusesABadCalendar(t *testing.T) {
	if _, err := NewServer(cal(drills.Entry{Name: "x", Cron: "nonsense"}), &memory{}, Hooks{}, zaptest.NewLogger(t)); drills.CodeOf(err) != drills.Input {
		t.Errorf("error: %v", err)
	}
}
