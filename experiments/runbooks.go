package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// confirmEvery is how often a confirmation is looked for.
const confirmEvery = 100 * time.Millisecond

// Confirmation says who has done an item of a runbook (the first is 0), and when.
type Confirmation func(step string, item int) (who string, at time.Time, ok bool)

// Runbooks is the actuator of runbook.*, and the Observer that journals how far each one is. Commands run in a process of
// ours on this host that ends, and ends them, with its stream.
type Runbooks struct {
	launcher drills.Launcher
	dir      string // where commands run
	log      *zap.Logger
	once     drills.Once

	mu        sync.Mutex
	confirmed Confirmation
	emit      func(drills.Event)
	runs      map[string]*reading // by change
}

// reading is a runbook that is being carried out.
type reading struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// NewRunbooks makes the actuator. dir is the folder that commands run in.
func NewRunbooks(l drills.Launcher, dir string, log *zap.Logger) *Runbooks {
	if log == nil {
		log = zap.NewNop()
	}
	return &Runbooks{launcher: l, dir: dir, log: log.Named("runbook"), runs: map[string]*reading{}}
}

// ConfirmBy says where confirmations are found. Without it nobody can confirm.
func (r *Runbooks) ConfirmBy(c Confirmation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.confirmed = c
}

// Start implements drills.Observer.
func (r *Runbooks) Start(_ context.Context, emit func(drills.Event)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.emit = emit
	return nil
}

// Finish implements drills.Observer.
func (r *Runbooks) Finish(ctx context.Context, _ drills.Timing) ([]drills.Event, error) {
	return nil, r.Close(ctx)
}

// Close ends every runbook.
func (r *Runbooks) Close(context.Context) error {
	r.mu.Lock()
	all := r.runs
	r.runs = map[string]*reading{}
	r.mu.Unlock()
	for _, x := range all {
		x.cancel()
		<-x.done
	}
	return nil
}

// Apply implements drills.Actuator.
func (r *Runbooks) Apply(ctx context.Context, op drills.Op) (drills.Effect, error) {
	if ctx.Err() != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	switch op.Verb {
	case verbRunbook:
		return r.once.Do(ctx, op.ID, func() (drills.Effect, error) { return r.begin(ctx, op) })
	case verbRunbookEnd:
		return r.end(op)
	}
	return drills.Effect{}, fmt.Errorf("%q is not a verb of runbooks (%s, %s)", op.Verb, verbRunbook, verbRunbookEnd)
}

// Present implements drills.Actuator: this process is carrying it out.
func (r *Runbooks) Present(ctx context.Context, op drills.Op) (bool, error) {
	if ctx.Err() != nil {
		return false, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, there := r.runs[changeID(op)]
	return there, nil
}

func (r *Runbooks) begin(ctx context.Context, op drills.Op) (drills.Effect, error) {
	var a runbookArgs
	if err := op.Decode(&a); err != nil {
		return drills.Effect{}, err
	}
	from := time.Now().UTC()
	m := drills.RunbookMeasured{Step: a.Step, Title: a.Title}
	commands := false
	for _, s := range a.Steps {
		m.Items = append(m.Items, drills.RunbookItem{Text: s.Do, By: s.By, Command: s.Command, Within: s.Within})
		commands = commands || len(s.Command) > 0
	}
	var box *sandbox
	if commands {
		var err error
		if box, err = openSandbox(ctx, r.launcher, drills.Place{Kind: drills.PlaceHost, Name: "runbook-" + a.Step}); err != nil {
			return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, err)
		}
	}
	wctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	x := &reading{cancel: cancel, done: make(chan struct{})}
	r.mu.Lock()
	r.runs[changeID(op)] = x
	p := &performer{m: m, box: box, dir: r.dir, confirmed: r.confirmed, emit: r.emit}
	r.mu.Unlock()
	go func() {
		defer close(x.done)
		p.perform(wctx)
		if box != nil {
			cctx, cancel := context.WithTimeout(context.WithoutCancel(wctx), discardLimit)
			defer cancel()
			if err := box.close(cctx); err != nil {
				r.log.Warn("the process of a runbook's commands", zap.Error(err))
			}
		}
	}()
	evidence, err := json.Marshal(map[string]any{"title": a.Title, "steps": len(a.Steps)})
	return drills.Effect{From: from, To: time.Now().UTC(), Source: "runbook shown", Proven: true, Evidence: evidence}, err
}

func (r *Runbooks) end(op drills.Op) (drills.Effect, error) {
	r.mu.Lock()
	x := r.runs[changeID(op)]
	delete(r.runs, changeID(op))
	r.mu.Unlock()
	e := drills.Effect{From: time.Now().UTC(), Source: "runbook", Proven: true}
	if x == nil {
		e.Skipped = "this process carries out no such runbook; its commands end with the process that started them"
	} else {
		x.cancel()
		<-x.done
	}
	e.To = time.Now().UTC()
	return e, nil
}

// performer goes through a runbook, one item after the other, and tells of every change.
type performer struct {
	m         drills.RunbookMeasured
	box       *sandbox
	dir       string
	confirmed Confirmation
	emit      func(drills.Event)
}

func (p *performer) tell() {
	if p.emit == nil {
		return
	}
	m := p.m
	m.Items = slices.Clone(p.m.Items)
	p.emit(drills.Event{Kind: drills.EvRunbook, Runbook: &m})
}

// perform ends at the first item that fails: what comes after it stands on it.
func (p *performer) perform(ctx context.Context) {
	defer func() { p.m.Over = true; p.tell() }()
	for i := range p.m.Items {
		x := &p.m.Items[i]
		x.Shown = time.Now().UTC()
		p.tell()
		ictx, cancel := context.WithTimeoutCause(ctx, x.Within.D(), errItemLate)
		if len(x.Command) > 0 {
			p.command(ictx, x)
		} else {
			p.person(ictx, i, x)
		}
		cancel()
		if ctx.Err() != nil {
			x.Failed = ""
			p.m.Error = fmt.Sprintf("the run ended it in step %d, %q", i+1, x.Text)
			return
		}
		if x.Failed != "" {
			return
		}
		if i+1 < len(p.m.Items) {
			p.tell()
		}
	}
}

var errItemLate = errors.New("its time was over")

func (p *performer) command(ctx context.Context, x *drills.RunbookItem) {
	a, err := p.box.ask(ctx, helper.Task{Command: x.Command, Dir: p.dir, Limit: x.Within})
	said := strings.Split(strings.TrimSpace(a.Text), "\n")
	x.Said = said[len(said)-1]
	switch {
	case errors.Is(err, errItemLate):
		x.Failed = "it was not done within " + x.Within.String()
	case err != nil:
		x.Failed = err.Error()
	case a.Failed != "":
		x.Failed = a.Failed
	default:
		x.Done = time.Now().UTC()
	}
}

func (p *performer) person(ctx context.Context, i int, x *drills.RunbookItem) {
	for {
		if p.confirmed != nil {
			if who, at, ok := p.confirmed(p.m.Step, i); ok {
				x.Who, x.Done = who, at.UTC()
				return
			}
		}
		if !drills.Wait(ctx, confirmEvery) {
			x.Failed = "nobody confirmed it within " + x.Within.String()
			return
		}
	}
}
