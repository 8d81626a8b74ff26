package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/eevans-d/simulacro/drills"
)

// loopLease is how long a crash loop goes on without hearing from its owner.
const loopLease = 5 * time.Second

// loopName begins the name of a crash loop's helper; the target's short id follows.
const loopName = "crash-loop-"

type crashLoopSpec struct {
	Kind      string          `json:"kind"`
	Op        string          `json:"op"`
	Lease     drills.Duration `json:"lease"`
	Container string          `json:"container"`
	Every     drills.Duration `json:"every"`
	Signal    int             `json:"signal"`
}

// crashes is what the helper says of its kills.
type crashes struct {
	Kills int    `json:"kills"`
	PID   int    `json:"pid"`
	From  int64  `json:"from"`
	To    int64  `json:"to"`
	Why   string `json:"why,omitempty"`
}

// loops are the crash loops that this process holds, by target.
type loops struct {
	mu   sync.Mutex
	held map[string]*loop
}

// loop is one crash loop; its reader ends with the stream.
type loop struct {
	stream drills.Stream
	ended  chan struct{}

	mu       sync.Mutex
	last     crashes
	stopping bool
}

// startLoop kills the member a first time and leaves a helper that does so again whenever it has come back.
func (m *more) startLoop(ctx context.Context, op drills.Op, a UnitArgs) error {
	sig, err := signalNumber(a.Signal)
	if err != nil {
		return err
	}
	s, err := m.e.Launcher(m.run).Start(ctx, drills.Place{Kind: drills.PlaceHostPID, Name: loopName + op.Target[:12]}, []string{"_agent", "helper"})
	if err != nil {
		return err
	}
	l := &loop{stream: s, ended: make(chan struct{})}
	spec := crashLoopSpec{Kind: "crash-loop", Op: a.Mark, Lease: drills.Duration(loopLease), Container: op.Target, Every: a.Every, Signal: int(sig)}
	if err := askStream(ctx, s, spec, &l.last); err != nil {
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), crashClose)
		defer cancel()
		return errors.Join(err, s.Close(cctx))
	}
	m.loops.mu.Lock()
	if m.loops.held == nil {
		m.loops.held = map[string]*loop{}
	}
	m.loops.held[op.Target] = l
	m.loops.mu.Unlock()
	go l.read(func(why string) { m.onEnd(op.ID, why) })
	return nil
}

func (l *loop) read(ended func(why string)) {
	defer close(l.ended)
	for {
		f, err := l.stream.Recv()
		if err != nil {
			l.mu.Lock()
			ours, why := l.stopping, l.last.Why
			l.mu.Unlock()
			if why == "" {
				why = "the helper of the crash loop died without a word"
			}
			if !ours {
				ended(why)
			}
			return
		}
		if f.Type == "beat" || f.Type == "done" {
			l.mu.Lock()
			_ = json.Unmarshal(f.Data, &l.last) // a word that is not understood changes nothing
			l.mu.Unlock()
		}
	}
}

// calm ends a loop: our own by its stream, another process's by removing its helper. Its restart policy then brings the
// member back; one that the policy has given up, or that has none, is started.
func (u *units) calm(ctx context.Context, op drills.Op, a UnitArgs) (drills.Effect, error) {
	began := time.Now().UTC()
	last, held, err := u.more.endLoop(ctx, op.Target)
	if err != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, err)
	}
	evidence, err := json.Marshal(last)
	if err != nil {
		return drills.Effect{}, err
	}
	e := drills.Effect{From: began, To: time.Now().UTC(), Source: "helper in the host's PID namespace", Proven: true, Evidence: evidence}
	s, gone, err := u.settled(ctx, op)
	switch {
	case err != nil:
		return drills.Effect{}, err
	case gone:
		e.Skipped = "the container is gone: removed or replaced by somebody"
	case !s.running && !s.restarting && (held || !s.startedAt.Equal(a.StartedAt)):
		d := deed{event: events.ActionStart, act: func(ctx context.Context) error {
			return ignoreNotModified(u.api.ContainerStart(ctx, op.Target, container.StartOptions{}))
		}}
		return u.prove(ctx, op, d)
	case !s.running && !s.restarting: // killed once, by a loop that is gone: as after a crash
		return u.undo(ctx, drills.Op{ID: op.ID, Verb: VerbStart, Target: op.Target}, UnitArgs{StartedAt: a.StartedAt})
	case !held:
		e.Skipped = "there was no crash loop any more"
	}
	return e, nil
}

// endLoop ends the target's crash loop, whoever holds it; held tells whether there was one.
func (m *more) endLoop(ctx context.Context, target string) (crashes, bool, error) {
	m.loops.mu.Lock()
	l := m.loops.held[target]
	delete(m.loops.held, target)
	m.loops.mu.Unlock()
	var last crashes
	if l != nil {
		l.mu.Lock()
		l.stopping = true
		l.mu.Unlock()
		if err := l.stream.Close(ctx); err != nil {
			return last, true, err
		}
		<-l.ended
		l.mu.Lock()
		last = l.last
		l.mu.Unlock()
	}
	left, err := m.loopHelpers(ctx, target)
	for _, id := range left {
		err = errors.Join(err, m.e.removeContainer(ctx, id))
	}
	return last, l != nil || len(left) > 0, err
}

// loopHelpers are the containers that hold a crash loop of the target.
func (m *more) loopHelpers(ctx context.Context, target string) ([]string, error) {
	list, err := m.e.ours(ctx, filters.Arg("label", LabelSystem+"="+m.e.project))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, c := range list {
		if strings.Contains(firstName(c.Names), loopName+target[:12]) {
			out = append(out, c.ID)
		}
	}
	return out, nil
}
