package calibrate

import (
	"context"
	"errors"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/eevans-d/simulacro/drills"
)

// TestCompare: what held the truth, what was off by how much, what was missed and what was invented.
func TestCompare(t *testing.T) {
	clock := drills.NewClock()
	at := func(ms int64) int64 { return clock.Mono + ms*int64(time.Millisecond) }
	instant := func(ms int64) drills.Span {
		return drills.Span{Lo: drills.Duration(at(ms)), Hi: drills.Duration(at(ms))}
	}
	between := func(from, to int64) drills.Interval {
		return drills.Interval{From: clock.Time(at(from)), To: clock.Time(at(to))}
	}
	outage := func(a, b, c, d int64) drills.Outage {
		end := between(c, d)
		return drills.Outage{Start: between(a, b), End: &end}
	}
	r := Result{}
	r.add(drills.ProbeMeasured{Late: 7, Realtime: true, Outages: []drills.Outage{
		outage(990, 1010, 2990, 3010),    // [1980, 2020], the truth is 2010
		outage(6010, 6030, 7990, 8030),   // [1960, 2020], the truth is 2000: held, but the server went down before the start
		outage(10990, 11010, 12960, 980), // ends before it begins: matches nothing
		outage(20990, 21010, 23050, 23070),
	}}, []Truth{
		{instant(1000), instant(3010)}, {instant(6000), instant(8000)}, {instant(15000), instant(17000)}, {instant(21000), instant(23000)},
	}, clock)
	r.close()
	msec := func(n int) drills.Duration { return drills.Duration(n) * drills.Duration(time.Millisecond) }
	want := Result{Outages: 4, Held: 2, StartHeld: 2, EndHeld: 2, Missed: 1, Invented: 1, P50: msec(10), P99: msec(60), Max: msec(60), Width: msec(40), Late: 7, Realtime: true}
	if d := cmp.Diff(want, r, cmpopts.IgnoreUnexported(Result{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestServerIsDownAsItSays: during each fault a request has the fate that the fault promises, and afterwards the server answers.
func TestServerIsDownAsItSays(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fault Fault
		fate  func(err error, took time.Duration) bool
	}{
		{Refuse, func(err error, _ time.Duration) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
		{Flap, func(err error, _ time.Duration) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
		{Blackhole, func(err error, _ time.Duration) bool { return errors.Is(err, context.DeadlineExceeded) }},
		{Freeze, func(err error, took time.Duration) bool {
			return err == nil && took > 200*time.Millisecond && took < 400*time.Millisecond
		}},
		{Slow, func(err error, took time.Duration) bool { return err == nil && took >= slowBy }},
	} {
		t.Run(string(tt.fault), func(t *testing.T) {
			t.Parallel()
			s, err := startServer()
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			if err, _ := ask(t, s); err != nil {
				t.Fatalf("up at first: %v", err)
			}
			down := make(chan error, 1)
			var truth Truth
			go func() { truth, err = s.outage(t.Context(), tt.fault, 300*time.Millisecond); down <- err }()
			drills.Wait(t.Context(), 30*time.Millisecond)
			if err, took := ask(t, s); !tt.fate(err, took) {
				t.Errorf("during it: %v after %s", err, took)
			}
			if err := <-down; err != nil {
				t.Fatal(err)
			}
			if n := truth.length(); n < 300*time.Millisecond || n > 400*time.Millisecond {
				t.Errorf("lasted %s", n)
			}
			if err, _ := ask(t, s); err != nil {
				t.Errorf("up again: %v", err)
			}
		})
	}
}

// ask makes one request over a new connection.
func ask(t *testing.T, s *server) (error, time.Duration) { //nolint:revive // the error is what is looked at
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url(), nil)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err == nil {
		_ = res.Body.Close()
	}
	return err, time.Since(began)
}
