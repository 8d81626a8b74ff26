package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// variant is a way in which the system is broken before the drill, and what the drill must then say.
type variant struct {
	name     string
	drill    string
	breakIt  func(*testing.T) // registers its own mending
	outcome  drills.Outcome
	cause    string
	sentence string // regular expression, whole sentence
	exit     int
	long     bool // only in make test-all
}

// TestDrillTellsSoundFromBroken: the same drill passes on the sound system and gives the exact outcome, cause and sentence
// for each way in which it is broken.
func TestDrillTellsSoundFromBroken(t *testing.T) {
	e2e(t, false)
	const sound = "Every objective and expectation was met.*"
	for _, v := range []variant{
		{"sound redis", "e2e-redis-kill", nil, drills.Pass, "", sound, 0, false},
		{"no replica left", "e2e-redis-kill", noReplicas, drills.BlockedRun, "blocked", `.*redis replicas: 0.*`, 3, true},
		{"sentinel takes ten minutes to notice", "e2e-redis-kill", slowSentinel, drills.Fail, "rta", "Users were without service for longer than 20s", 1, true},
		{"subscriber never resubscribes", "e2e-redis-kill", noResubscribe, drills.Fail, "ws-delivery", "ws-delivery never recovered", 1, false},
		{"alert on a metric that does not exist", "e2e-redis-kill", missingMetric, drills.Fail, "detection", "Alert RedisDown did not fire within 15s of the fault: the outage would have gone unnoticed", 1, true},
		{"target that allows too little", "e2e-redis-kill", throttle, drills.BlockedRun, "blocked", `.*probe rate: api-[12]:8000: .*`, 3, false},
		{"sentinel quorum lost", "e2e-redis-kill", noQuorum, drills.BlockedRun, "blocked", `.*redis quorum: lost.*`, 3, true},
		{"sound fan-out", "e2e-ws-fan-out", nil, drills.Pass, "", sound, 0, true},
		{"instances that hear themselves", "e2e-ws-fan-out", ownEcho, drills.Fail, "duplicated", `\d+ messages were there more than once`, 1, true},
		{"sound postgis", "e2e-pg-kill", nil, drills.Pass, "", sound, 0, true},
		{"sound redis, short kill", "e2e-redis-short-kill", nil, drills.Pass, "", sound, 0, true},
		{"only our undo brings it back", "e2e-redis-short-kill", slowSentinel, drills.Fail, "recovered-by-undo", "The service came back only after our own undo: the system did not recover by itself", 1, true},
	} {
		t.Run(v.name, func(t *testing.T) {
			e2e(t, v.long)
			whole(t)
			if v.breakIt != nil {
				v.breakIt(t)
			}
			rec, code := runDrill(t, t.TempDir(), refSystem, e2eDrill(v.drill))
			if rec.Outcome != v.outcome || rec.Cause != v.cause || code != v.exit || rec.Dirty {
				t.Errorf("outcome %s (%s), exit %d, dirty %v; want %s (%s), exit %d", rec.Outcome, rec.Cause, code, rec.Dirty, v.outcome, v.cause, v.exit)
			}
			if !regexp.MustCompile("^(?:" + v.sentence + ")$").MatchString(rec.Sentence) {
				t.Errorf("sentence %q, want %q", rec.Sentence, v.sentence)
			}
			nothingLeft(t)
		})
	}
}

func noReplicas(t *testing.T) {
	primary := redisPrimaries(t)[0]
	for _, name := range []string{"redis-1", "redis-2", "redis-3"} {
		if name != primary {
			id := service(t, name)
			t.Cleanup(func() { docker(t, "start", id) })
			docker(t, "stop", "-t", "1", id)
		}
	}
}

func noQuorum(t *testing.T) {
	for _, name := range []string{"sentinel-2", "sentinel-3"} {
		id := service(t, name)
		t.Cleanup(func() { docker(t, "start", id) })
		docker(t, "stop", "-t", "1", id)
	}
}

func slowSentinel(t *testing.T) {
	t.Cleanup(func() { sentinels(t, "2000") })
	sentinels(t, "600000")
}

func noResubscribe(t *testing.T) {
	t.Cleanup(func() {
		apiDefects(t)
		docker(t, "restart", "-t", "1", service(t, "api-1")) // its subscriber has ended for good
		docker(t, "restart", "-t", "1", service(t, "api-2"))
	})
	apiDefects(t, "subscriber-never-resubscribes")
}

func ownEcho(t *testing.T) {
	t.Cleanup(func() { apiDefects(t) })
	apiDefects(t, "own-echo-twice")
}

func missingMetric(t *testing.T) {
	t.Cleanup(func() { sh(t, refStack, "rules", "--set", "fast") })
	sh(t, refStack, "rules", "--set", "fast", "--defect", "missing-metric:RedisDown")
}

// throttle limits the drill's own probes, which together ask some forty times a second: what is learned of the limit before the
// fault leaves too little to measure with.
func throttle(t *testing.T) {
	t.Cleanup(func() { apiDefects(t) })
	apiDefects(t, "rate-limit-100")
}

// TestBadInputTouchesNothing: every way of getting it wrong has its exit code, says what to do, and leaves no container.
func TestBadInputTouchesNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"unknown command", []string{"explode"}, 2, "unknown command"},
		{"unknown flag", []string{"run", "--fast", "x"}, 2, "unknown flag"},
		{"no drill", []string{"run"}, 2, "name a drill, or a suite"},
		{"no system file", []string{"--system", "nowhere.yaml", "run", "x"}, 2, "nowhere.yaml"},
		{"no such drill", []string{"--system", refSystem, "run", "no-such-drill"}, 2, "no-such-drill"},
		{"no such profile", []string{"--system", refSystem, "--profile", "gold", "run", "redis-primary-kill"}, 2, "gold"},
		{"bad purpose", []string{"--system", refSystem, "run", "--purpose", "fun", "redis-primary-kill"}, 2, "fun"},
		{"bad gate", []string{"--runs", t.TempDir(), "report", "--gate", "strict>95"}, 2, "strict>=95%"},
		{"bad calibration", []string{"calibrate", "--faults", "flood", "--rates", "0"}, 2, `there is no fault "flood"`},
		{"no such run", []string{"--runs", t.TempDir(), "report", "nothing"}, 2, "nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs strings.Builder
			e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, lookup: func(string) (string, bool) { return "", false }}
			if code := run(t.Context(), tt.args, e); code != tt.code || !strings.Contains(errs.String(), tt.says) {
				t.Errorf("exit %d, want %d; said %q, want %q in it", code, tt.code, errs.String(), tt.says)
			}
		})
	}
}
