package store

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/eevans-d/simulacro/drills"
)

// Slow are the parameters of redis-slow-commands.
type Slow struct {
	Busy  drills.Duration `json:"busy"`  // how long one command keeps the server busy
	Every drills.Duration `json:"every"` // from the begin of one to the begin of the next
}

// busyScript keeps the server's one thread at work and touches no key. It counts: a script has no clock that goes on while it runs.
const busyScript = `for i = 1, tonumber(ARGV[1]) do end return 1`

const (
	// firstRounds is a small beginning, to find out how fast the server counts; surelySlow is enough time to trust the measurement.
	firstRounds = 10_000
	surelySlow  = 5 * time.Millisecond
	mostRounds  = 4_000_000_000
)

// slowCommands keeps the server busy again and again.
type slowCommands struct {
	redisNode
	with Slow
	crew crew
	runs *redis.Client
	usec int64   // that scripts had taken before
	pace float64 // rounds a microsecond
}

// Check asks for the permission.
func (f *slowCommands) Check(ctx context.Context) (map[string]string, error) {
	if _, err := f.info(ctx, "commandstats"); err != nil {
		return nil, err
	}
	return nil, f.may(ctx, []any{"eval", busyScript, "0", "0"}, []any{"client|list"})
}

func (f *slowCommands) spent(ctx context.Context) (usec, calls int64, err error) {
	kv, err := f.info(ctx, "commandstats")
	return member(kv["cmdstat_eval"], "usec"), member(kv["cmdstat_eval"], "calls"), err
}

// Begin starts a connection of its own, by which it is found again.
func (f *slowCommands) Begin(ctx context.Context) error {
	o, err := f.options(f.spec.Name(), f.with.Busy.D()+answerWithin)
	if err != nil {
		return err
	}
	if f.usec, _, err = f.spent(ctx); err != nil {
		return err
	}
	o.PoolSize = 1
	f.runs = redis.NewClient(o)
	if err := f.calibrate(ctx); err != nil {
		return f.explain(err, "EVAL", "+eval")
	}
	ctx = f.crew.start(ctx)
	f.crew.work.Go(func() {
		for due := time.Now(); waitUntil(ctx, due); due = due.Add(f.with.Every.D()) {
			took, rounds, err := f.busy(ctx, f.pace*float64(f.with.Busy.D().Microseconds()))
			if err == nil { // a server that is away is asked again
				f.pace = min(max(rounds/float64(took), f.pace/2), f.pace*2) // others may count in between
			}
		}
	})
	return nil
}

// calibrate finds out how fast the server counts, with ever more rounds.
func (f *slowCommands) calibrate(ctx context.Context) error {
	for rounds := float64(firstRounds); ; rounds *= 4 {
		took, _, err := f.busy(ctx, rounds)
		if err != nil {
			return err
		}
		if f.pace = rounds / float64(took); took >= surelySlow.Microseconds() || rounds >= mostRounds/4 {
			return nil
		}
	}
}

// busy has the server count, and returns the microseconds that it says it took.
func (f *slowCommands) busy(ctx context.Context, rounds float64) (took int64, did float64, err error) {
	did = math.Min(math.Round(rounds), mostRounds)
	before, _, err := f.spent(ctx)
	if err != nil {
		return 0, did, err
	}
	if err := f.runs.Eval(ctx, busyScript, nil, strconv.FormatFloat(did, 'f', 0, 64)).Err(); err != nil {
		return 0, did, err
	}
	after, _, err := f.spent(ctx)
	return max(after-before, 1), did, err
}

// Beat is proof once the server has spent the time of one command on scripts.
func (f *slowCommands) Beat(ctx context.Context) (Beat, error) {
	usec, calls, err := f.spent(ctx)
	usec -= f.usec
	return Beat{Proven: usec >= f.with.Busy.D().Microseconds()*9/10, Facts: map[string]any{"calls": calls, "busy_ms": usec / 1000}}, err
}

// End stops; the command under way ends by itself, after `busy` at the latest.
func (f *slowCommands) End(ctx context.Context) (string, error) {
	f.crew.stop()
	if f.runs != nil {
		_ = f.runs.Close() // its one connection
	}
	n, err := f.endSessions(ctx)
	if gone(err) {
		return "the server is not there", nil
	}
	if err == nil && n == 0 && f.runs == nil {
		return "no such connection was there", nil
	}
	return "", err
}

// Present looks for our connection.
func (f *slowCommands) Present(ctx context.Context) (bool, error) {
	ids, err := f.sessions(ctx)
	return absentIfGone(len(ids) > 0, err)
}
