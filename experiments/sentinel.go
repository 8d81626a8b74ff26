package experiments

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

const redisPort = 6379

// Sentinel knows the roles of a Redis component from its sentinels and from every data node itself, and is the actuator
// of redis.*. A node that does not answer is not an error: that is what drills are about.
type Sentinel struct {
	conns  redisConns
	expand Expand
	log    *zap.Logger
	once   drills.Once
}

// NewSentinel reaches nodes through dial; expand resolves the data nodes' password.
func NewSentinel(dial Dial, expand Expand, log *zap.Logger) *Sentinel {
	if log == nil {
		log = zap.NewNop()
	}
	return &Sentinel{conns: redisConns{dial: dial}, expand: expand, log: log.Named("sentinel")}
}

// Close closes the connections that readings keep.
func (s *Sentinel) Close() error { return s.conns.close() }

// redisAnswers is everything that was heard in one reading.
type redisAnswers struct {
	asked     int // sentinels
	sentinels []sentinelWord
	nodes     map[string]dataWord // by member id
	silent    error               // why the first sentinel that did not answer did not
	took      time.Duration
}

// Resolve asks every sentinel and every running member at the same time, then lets replicas catch up for a moment to
// measure their lag. It takes two seconds at most.
func (s *Sentinel) Resolve(ctx context.Context, c drills.Component, members []drills.Member) (drills.RoleView, error) {
	if c.Roles == nil || len(c.Roles.Addresses) == 0 || c.Roles.Master == "" {
		return drills.RoleView{}, drills.Errorf(drills.Input, "give `roles:` its `master` and `addresses`", "the sentinels of %s are not known", c.Name)
	}
	data, guard, err := s.entries(*c.Roles)
	if err != nil {
		return drills.RoleView{}, fmt.Errorf("roles of %s: %w", c.Name, err)
	}
	began := time.Now()
	ask := func(ctx context.Context, m drills.Member) (dataWord, error) {
		return s.conns.askData(ctx, hostPort(m.Addresses()[0], c.Roles.Port, redisPort), data)
	}
	a := s.answers(ctx, c, guard, members, ask)
	lag := redisLag(ctx, a, members, ask)
	a.took = time.Since(began)
	return redisView(c.Name, members, a, lag), nil
}

// entries are how the data nodes and the sentinels are entered.
func (s *Sentinel) entries(src drills.RoleSource) (data, sentinel entry, err error) {
	user, errUser := s.expand.value(src.Username)
	password, errPassword := s.expand.value(src.Password)
	files, errTLS := src.TLS.Expanded(s.expand.value)
	if err := errors.Join(errUser, errPassword, errTLS); err != nil {
		return data, sentinel, err
	}
	cfg, err := files.Config()
	if err != nil {
		return data, sentinel, err
	}
	sentinel, err = s.entryOf(src.SentinelAuth)
	return entry{user, password, cfg}, sentinel, err
}

func (s *Sentinel) entryOf(a *drills.SentinelAuth) (entry, error) {
	a, err := a.Expanded(s.expand.value)
	if err != nil || a == nil {
		return entry{}, err
	}
	cfg, err := a.TLS.Config()
	return entry{a.Username, a.Password, cfg}, err
}

type askNode func(context.Context, drills.Member) (dataWord, error)

func (s *Sentinel) answers(ctx context.Context, c drills.Component, e entry, members []drills.Member, ask askNode) redisAnswers {
	a := redisAnswers{asked: len(c.Roles.Addresses), nodes: map[string]dataWord{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, addr := range c.Roles.Addresses {
		wg.Go(func() {
			w, err := s.conns.askSentinel(ctx, addr, c.Roles.Master, e)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				a.sentinels = append(a.sentinels, w)
			} else if a.silent == nil {
				a.silent = fmt.Errorf("%s: %w", addr, err)
			}
		})
	}
	for _, m := range members {
		if m.State != "running" || len(m.Addresses()) == 0 {
			continue
		}
		wg.Go(func() {
			w, err := ask(ctx, m)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				a.nodes[m.ID] = w
			}
		})
	}
	wg.Wait()
	return a
}
