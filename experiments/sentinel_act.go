package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/eevans-d/simulacro/drills"
)

const verbRedisFailover = "redis.failover"

// movePoll is how often a role change in progress is looked at.
const movePoll = 50 * time.Millisecond

// redisFailoverArgs are the arguments of redis.failover. Secrets are references, resolved at the deed.
type redisFailoverArgs struct {
	Mark      string          `json:"mark,omitempty"` // tells apart the same op of two runs
	Sentinels []string        `json:"sentinels"`
	Master    string          `json:"master"`
	From      node            `json:"from"` // the primary when planned
	Within    drills.Duration `json:"within"`

	Auth *drills.SentinelAuth `json:"auth,omitempty"`
}

// moveEvidence is the evidence of every role change.
type moveEvidence struct {
	Asked  string `json:"asked"` // who was told to do it
	From   string `json:"from"`
	To     string `json:"to,omitempty"`
	Answer string `json:"answer,omitempty"`
}

// Apply does redis.failover, at most once per op. The effect lies between the command and the first answer of the same
// sentinel that names another primary; without one in time it is not proven.
func (s *Sentinel) Apply(ctx context.Context, op drills.Op) (drills.Effect, error) {
	if ctx.Err() != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	if op.Verb != verbRedisFailover {
		return drills.Effect{}, fmt.Errorf("%q is not a verb of Sentinel (%s)", op.Verb, verbRedisFailover)
	}
	var a redisFailoverArgs
	if err := op.Decode(&a); err != nil {
		return drills.Effect{}, err
	}
	return s.once.Do(ctx, op.ID+" "+a.Mark, func() (drills.Effect, error) {
		e, err := s.failover(ctx, a)
		if err != nil {
			err = fmt.Errorf("%s: %w", op.Verb, err)
		}
		return e, err
	})
}

// failover asks the first sentinel that answers. Sentinels that do not are passed over, but nothing is asked twice.
func (s *Sentinel) failover(ctx context.Context, a redisFailoverArgs) (drills.Effect, error) {
	enter, err := s.entryOf(a.Auth)
	if err != nil {
		return drills.Effect{}, err
	}
	var errs []error
	for _, addr := range a.Sentinels {
		w, err := s.conns.askSentinel(ctx, addr, a.Master, enter)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", addr, err))
			continue
		}
		if !a.From.is(w.host) {
			return drills.Effect{}, drills.Errorf(drills.Blocked, "the role moved meanwhile: plan again", "%s names %s as primary, not %s", addr, w.host, a.From.Member)
		}
		return s.move(ctx, addr, enter, a)
	}
	return drills.Effect{}, fmt.Errorf("no sentinel answers: %w", errors.Join(errs...))
}

func (s *Sentinel) move(ctx context.Context, addr string, enter entry, a redisFailoverArgs) (drills.Effect, error) {
	c := s.conns.sentinel(addr, enter)
	ev := moveEvidence{Asked: addr, From: a.From.Member, Answer: "OK"}
	sent := time.Now().UTC()
	if err := c.Failover(ctx, a.Master).Err(); err != nil {
		var refused redis.Error
		if errors.As(err, &refused) {
			return drills.Effect{}, fmt.Errorf("%s refused: %w", addr, err)
		}
		ev.Answer = err.Error() // it may have been heard: look for the effect
	}
	to, seen := watchMove(ctx, a.Within.D(), func(ctx context.Context) (string, bool) {
		got, err := c.GetMasterAddrByName(ctx, a.Master).Result()
		if err != nil || len(got) != 2 || a.From.is(got[0]) {
			return "", false
		}
		return got[0], true
	})
	ev.To = to
	return moved(sent, seen, "sentinel", ev), nil
}

// watchMove looks until somebody else has the role; the time is zero when nobody had in time.
func watchMove(ctx context.Context, within time.Duration, look func(context.Context) (string, bool)) (to string, seen time.Time) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		if to, ok := look(ctx); ok {
			return to, time.Now().UTC()
		}
		if !drills.Wait(ctx, movePoll) {
			return "", time.Time{}
		}
	}
}

// moved is the effect of a role change; unproven, it ends now.
func moved(sent, seen time.Time, source string, ev moveEvidence) drills.Effect {
	e := drills.Effect{From: sent, To: seen, Source: source, Proven: !seen.IsZero()}
	if !e.Proven {
		e.To = time.Now().UTC()
	}
	e.Evidence, _ = json.Marshal(ev) // plain text: cannot fail
	return e
}

// Present tells whether a failover is still under way. One that is over leaves nothing in force: who is primary then is
// a matter of the roles, not of this op.
func (s *Sentinel) Present(ctx context.Context, op drills.Op) (bool, error) {
	if ctx.Err() != nil {
		return false, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	var a redisFailoverArgs
	if err := op.Decode(&a); err != nil {
		return false, err
	}
	enter, err := s.entryOf(a.Auth)
	if err != nil {
		return false, err
	}
	var errs []error
	for _, addr := range a.Sentinels {
		w, err := s.conns.askSentinel(ctx, addr, a.Master, enter)
		if err == nil && w.busy {
			return true, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == len(a.Sentinels) && allErrors(errs) {
		return false, fmt.Errorf("%s: no sentinel answers: %w", op.Verb, errors.Join(errs...))
	}
	return false, nil
}

func allErrors(errs []error) bool {
	for _, err := range errs {
		if err == nil {
			return false
		}
	}
	return true
}
