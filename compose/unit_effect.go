package compose

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/events"

	"github.com/eevans-d/simulacro/drills"
)

// proofWait is how long an engine event may come after the engine's answer.
const proofWait = 5 * time.Second

// engineEvent is one event of the target as evidence.
type engineEvent struct {
	Action   string    `json:"action"`
	Time     time.Time `json:"time"` // the engine's clock
	Exit     string    `json:"exit_code,omitempty"`
	Signal   string    `json:"signal,omitempty"`
	received time.Time
}

// unitEvidence is the Effect.Evidence of unit ops.
type unitEvidence struct {
	Asked    time.Time     `json:"asked"`    // our clock, before the call
	Answered time.Time     `json:"answered"` // our clock, after the call
	Clock    *offset       `json:"engine_clock,omitempty"`
	Events   []engineEvent `json:"events,omitempty"`
	Ended    time.Time     `json:"ended,omitzero"` // the engine's clock: when its shim saw the process end
	Detail   any           `json:"detail,omitempty"`
}

// prove does a deed and returns its effect. The effect came after we asked and not later than the event that reports it
// was made and received: that is the interval. Without an event the engine's answer closes it, and the effect counts
// as proven only if an inspection shows it.
func (u *units) prove(ctx context.Context, op drills.Op, d deed) (drills.Effect, error) {
	off, offErr := u.offset(ctx)
	w := watchUnit(ctx, u.api, op.Target)
	defer w.close()
	ev := unitEvidence{Asked: time.Now().UTC()}
	if err := d.act(ctx); err != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, err)
	}
	ev.Answered = time.Now().UTC()
	if offErr == nil {
		ev.Clock = &off
	}
	if d.event == "" {
		return u.seen(ctx, op, d, ev)
	}
	found, ok := w.await(ctx, d.event, ev.Asked, ev.Clock)
	ev.Events = w.since(ev.Asked, ev.Clock)
	eff := drills.Effect{From: ev.Asked, To: ev.Answered, Source: "docker api return", Proven: true}
	if ok {
		eff.Source = "docker event " + string(d.event)
		eff.To = found.latest(ev.Asked, ev.Clock)
		eff = narrow(eff, u.ended(ctx, op, d, &ev))
	} else {
		there, err := u.Present(ctx, op)
		eff.Proven = err == nil && there && d.event != events.ActionKill
	}
	return finish(ctx, op, d, ev, eff)
}

// seen is the effect of a deed of which the engine knows nothing: what checks it proves it.
func (u *units) seen(ctx context.Context, op drills.Op, d deed, ev unitEvidence) (drills.Effect, error) {
	source := cmp.Or(d.source, "helper in the host's PID namespace")
	return finish(ctx, op, d, ev, drills.Effect{From: ev.Asked, To: ev.Answered, Source: source, Proven: d.check != nil})
}

// finish narrows the effect to what the deed itself knows, has it checked, and adds the evidence.
func finish(ctx context.Context, op drills.Op, d deed, ev unitEvidence, eff drills.Effect) (drills.Effect, error) {
	if d.known != nil {
		eff = narrow(eff, d.known())
	}
	if d.check != nil {
		var ok bool
		ev.Detail, ok = d.check(ctx)
		eff.Proven = eff.Proven && ok
	}
	evidence, err := json.Marshal(ev)
	if err != nil {
		return eff, fmt.Errorf("%s: evidence: %w", op.Verb, err)
	}
	eff.Evidence = evidence
	return eff, nil
}

// ended is what the container's own end time says about a death. The engine's event may come long after it on a busy
// host; the shim stamps the end when it reaps the process.
func (u *units) ended(ctx context.Context, op drills.Op, d deed, ev *unitEvidence) drills.Interval {
	if d.event != events.ActionDie || ev.Clock == nil {
		return drills.Interval{}
	}
	c, err := u.api.ContainerInspect(ctx, op.Target)
	if err != nil || c.ContainerJSONBase == nil || c.State == nil {
		return drills.Interval{}
	}
	at := parseTime(c.State.FinishedAt)
	i := ev.Clock.ours(at)
	if at.IsZero() || i.To.Before(ev.Asked) {
		return drills.Interval{} // an earlier death
	}
	ev.Ended = at
	return drills.Interval{From: ev.Asked, To: i.To}
}

// latest is the last instant, on our clock, at which the event can have been made.
func (e engineEvent) latest(asked time.Time, off *offset) time.Time {
	if off == nil {
		return e.received
	}
	if t := off.ours(e.Time).To; t.Before(e.received) && !t.Before(asked) {
		return t
	}
	return e.received
}

// narrow cuts an effect's interval to what the act itself knows, never to nothing.
func narrow(e drills.Effect, i drills.Interval) drills.Effect {
	from, to := e.From, e.To
	if i.From.After(from) {
		from = i.From.UTC()
	}
	if !i.To.IsZero() && i.To.Before(to) {
		to = i.To.UTC()
	}
	if !from.After(to) {
		e.From, e.To = from, to
	}
	return e
}
