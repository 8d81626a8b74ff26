package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/eevans-d/simulacro/drills"
)

// guardAttempts is how often the lock is tried: once, after collecting the last run's guard, and after losing that race.
const guardAttempts = 3

// createdGrace is how long a guard may be created but not started before it counts as abandoned.
const createdGrace = 30 * time.Second

// GuardName is the guard's container name: unique on the engine, hence the lock of the project.
func GuardName(project string) string { return "simulacro-guard-" + safeName(project) }

// Guard starts the run's guard and with it takes the project's lock. When another run has it, the error is a
// drills.Error with code Locked. An ended guard's report is collected first; see GuardClient.Report.
func (e *Engine) Guard(ctx context.Context, run RunLabels) (*GuardClient, error) {
	run = run.withDefaults(e.project)
	var prior *GuardReport
	for range guardAttempts {
		s, id, err := e.startGuard(ctx, run)
		if err == nil {
			return e.greetGuard(ctx, s, id, run, prior)
		}
		if !errdefs.IsConflict(err) {
			return nil, fmt.Errorf("start guard: %w", err)
		}
		r, err := e.Collect(ctx)
		if err != nil {
			return nil, err
		}
		if r != nil {
			prior = r
		}
	}
	return nil, drills.Errorf(drills.Locked, "try again in a moment", "several runs want project %q at the same time", e.project)
}

func (e *Engine) startGuard(ctx context.Context, run RunLabels) (*stream, string, error) {
	place := drills.Place{Kind: drills.PlaceGuard}
	host, role, err := e.hostConfig(ctx, place)
	if err != nil {
		return nil, "", err
	}
	s, err := e.startContainer(ctx, launch{
		name: GuardName(e.project), argv: []string{"_agent", "guard"}, host: host,
		labels: run.labels(role, time.Now()), user: userOf(place, e.socket), log: e.log.Named("guard"),
	})
	if err != nil {
		return nil, "", err
	}
	return s, s.containerID(), nil
}

// greetGuard tells the guard its run and waits until it holds the engine's socket.
func (e *Engine) greetGuard(ctx context.Context, s *stream, id string, run RunLabels, prior *GuardReport) (*GuardClient, error) {
	g := &GuardClient{
		e: e, s: s, id: id, run: run, prior: prior, lastBeat: time.Now(),
		acks: make(chan idData, 1), freed: make(chan struct{}), lost: make(chan struct{}), quit: make(chan struct{}),
	}
	if err := g.introduce(ctx); err != nil {
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
		defer cancel()
		_ = s.Close(cctx)
		e.discard(ctx, id)
		return nil, drills.Wrap(drills.Blocked, err, "the guard did not come up", "see whether containers can be started on this engine and may mount its socket")
	}
	g.ends.Add(2)
	go g.listen()
	go g.look()
	return g, nil
}

func (g *GuardClient) introduce(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, guardReady, fmt.Errorf("no answer within %v", guardReady))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		dead, cancel := context.WithCancel(ctx)
		cancel()
		_ = g.s.Close(dead) // ends Recv
	})
	defer stop()
	spec, err := json.Marshal(GuardSpec{Run: g.run.Run, Project: g.run.System, Lease: drills.Duration(GuardLease)})
	if err != nil {
		return err
	}
	if err := g.s.Send(drills.Frame{Type: "spec", Data: spec}); err != nil {
		return err
	}
	f, err := g.s.Recv()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("guard ended: %w", err)
	case f.Type != frameReady:
		return fmt.Errorf("guard answered %s: %s", f.Type, f.Data)
	}
	return nil
}

// Collect takes the report of the project's last guard and removes that guard. Nil when there is none; a guard that is
// still running is the error of a lock.
func (e *Engine) Collect(ctx context.Context) (*GuardReport, error) {
	c, err := e.api.ContainerInspect(ctx, GuardName(e.project))
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inspect guard: %w", err)
	}
	if c.State == nil || c.Config == nil {
		return nil, errors.New("the engine does not say what the guard's container is")
	}
	o, ours := ownerOf(c.Config.Labels)
	if !ours {
		return nil, drills.Errorf(drills.Locked, "rename or remove it", "container %s is not one of ours but has the guard's name", GuardName(e.project))
	}
	if holdsLock(c.State, o, time.Now()) {
		return nil, lockedBy(o, time.Now())
	}
	r, err := e.readReport(ctx, c, o)
	if err != nil {
		return nil, err
	}
	// By id: the name may be another run's guard by now.
	if err := e.removeContainer(ctx, c.ID); err != nil {
		return nil, err
	}
	return r, nil
}

// holdsLock tells whether a guard's container stands for a live run.
func holdsLock(s *container.State, o owner, now time.Time) bool {
	if s.Status == container.StateCreated {
		return now.Sub(o.Since) < createdGrace // its run is just about to start it
	}
	return s.Running || s.Paused || s.Restarting
}

// lockedBy says who has the lock.
func lockedBy(o owner, now time.Time) error {
	return drills.Errorf(drills.Locked,
		fmt.Sprintf("wait for it or end it with `simulacro abort %s`; if that process is gone, the guard restores the system and ends by itself", o.Run),
		"project %q is in use: run %s by process %d on %s, since %s (%s ago)",
		o.System, o.Run, o.PID, o.Host, o.Since.Format(time.RFC3339), now.Sub(o.Since).Round(time.Second))
}
