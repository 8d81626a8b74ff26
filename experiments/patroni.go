package experiments

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

// Patroni knows the roles of a PostgreSQL component from every member's Patroni REST API, and is the actuator of
// postgres.*. A member that does not answer is not an error.
type Patroni struct {
	rest patroniREST
	log  *zap.Logger
	once drills.Once
}

// NewPatroni reaches members through dial.
func NewPatroni(dial Dial, log *zap.Logger) *Patroni {
	if log == nil {
		log = zap.NewNop()
	}
	return &Patroni{rest: newPatroniREST(dial), log: log.Named("patroni")}
}

// pgWord is what one member says of itself.
type pgWord struct {
	patroniStatus
	primary bool // GET /primary says 200
	at      time.Time
}

// pgAnswers is everything that was heard in one reading.
type pgAnswers struct {
	nodes   map[string]pgWord // by member id
	cluster *patroniCluster   // nil when nobody could say
	history [][]any
	silent  error
	took    time.Duration
}

// Resolve asks every endpoint at the same time, then one of them for the cluster and its history. It takes about two
// seconds at most.
func (p *Patroni) Resolve(ctx context.Context, c drills.Component, members []drills.Member) (drills.RoleView, error) {
	if c.Roles == nil {
		return drills.RoleView{}, drills.Errorf(drills.Input, "", "component %s has no `roles:`", c.Name)
	}
	rest, err := restOf(members, *c.Roles)
	if err != nil {
		return drills.RoleView{}, err
	}
	began := time.Now()
	a := p.answers(ctx, rest, members)
	p.askCluster(ctx, rest, members, &a)
	lags := p.lags(ctx, a, rest, members)
	a.took = time.Since(began)
	return pgView(c.Name, members, a, lags), nil
}

func memberOf(n restNode, members []drills.Member) (drills.Member, bool) {
	for _, m := range members {
		if m.Name == n.Member {
			return m, true
		}
	}
	return drills.Member{}, false
}

func (p *Patroni) answers(ctx context.Context, rest []restNode, members []drills.Member) pgAnswers {
	a := pgAnswers{nodes: map[string]pgWord{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, n := range rest {
		m, ok := memberOf(n, members)
		if !ok {
			continue
		}
		wg.Go(func() {
			w, err := p.askMember(ctx, n.Addr)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				a.nodes[m.ID] = w
			} else if a.silent == nil {
				a.silent = fmt.Errorf("%s: %w", n.Member, err)
			}
		})
	}
	wg.Wait()
	return a
}

func (p *Patroni) askMember(ctx context.Context, addr string) (pgWord, error) {
	var w pgWord
	if _, err := p.rest.get(ctx, addr, "/patroni", &w.patroniStatus); err != nil {
		return w, err
	}
	w.at = time.Now()
	primary, err := p.rest.isPrimary(ctx, addr)
	w.primary = primary
	return w, err
}

// askCluster asks who holds the lock: a member that has answered before, so that a dead one costs no more time.
func (p *Patroni) askCluster(ctx context.Context, rest []restNode, members []drills.Member, a *pgAnswers) {
	for _, n := range rest {
		m, known := memberOf(n, members)
		if _, answered := a.nodes[m.ID]; known && !answered {
			continue
		}
		var c patroniCluster
		if status, err := p.rest.get(ctx, n.Addr, "/cluster", &c); err != nil || status != 200 {
			continue
		}
		a.cluster = &c
		if _, err := p.rest.get(ctx, n.Addr, "/history", &a.history); err != nil {
			a.history = nil
		}
		return
	}
}

// lags measures how far every replica is behind the primary, by positions in the write-ahead log. The estimate of one that
// does not catch up is zero: Patroni gives bytes, not time, so "at least as long as we looked" is all that is known.
func (p *Patroni) lags(ctx context.Context, a pgAnswers, rest []restNode, members []drills.Member) map[string]lagOf {
	primary, ok := pgPrimary(a, members)
	if !ok {
		return nil
	}
	at := a.nodes[primary.ID]
	out := map[string]lagOf{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, n := range rest {
		m, known := memberOf(n, members)
		w, answered := a.nodes[m.ID]
		if !known || !answered || !follows(w, at) {
			continue
		}
		wg.Go(func() {
			again := func(ctx context.Context) (position, error) {
				var s patroniStatus
				_, err := p.rest.get(ctx, n.Addr, "/patroni", &s)
				return position{s.received(), time.Now()}, err
			}
			l := lagBehind(ctx, position{at.Xlog.Location, at.at}, position{w.received(), w.at}, again, 0)
			mu.Lock()
			defer mu.Unlock()
			out[m.ID] = l
		})
	}
	wg.Wait()
	return out
}

// received is how far a replica has got; a replica that was just started may only know what it has replayed.
func (s patroniStatus) received() int64 { return max(s.Xlog.Received, s.Xlog.Replayed) }
