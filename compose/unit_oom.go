package compose

import (
	"context"
	"encoding/json"
	"time"

	"github.com/docker/docker/api/types/events"

	"github.com/eevans-d/simulacro/drills"
)

// oomLimit bounds how long the kernel may take to end somebody.
const oomLimit = 30 * time.Second

// oomDeed is proven by the engine's event and by who ended: the kernel takes the largest process, which must not have been
// ours.
func (m *more) oomDeed(op drills.Op) deed {
	var ours bool
	return deed{
		event: events.ActionOOM,
		act: func(ctx context.Context) (err error) {
			ours, err = m.oom(ctx, op.Target)
			return err
		},
		check: func(ctx context.Context) (any, bool) {
			c, err := m.e.api.ContainerInspect(ctx, op.Target)
			killed := err == nil && c.State != nil && (c.State.OOMKilled || !c.State.Running)
			return map[string]bool{"main_process_ended": killed, "our_helper_too": ours}, killed || !ours
		},
	}
}

// oom takes memory in the target's control group until its limit makes the kernel end a process there. What it takes belongs
// to no process, so the kernel ends one of the target's unless all of them are smaller than ours. Ours ends at the first such
// event, or with the target; it returns whether it was ended by force.
func (m *more) oom(ctx context.Context, target string) (bool, error) {
	c, err := m.e.api.ContainerInspect(ctx, target)
	switch {
	case err != nil:
		return false, err
	case c.HostConfig == nil || c.HostConfig.Memory <= 0:
		return false, drills.Errorf(drills.Blocked, "give it a memory limit", "%s has no memory limit: the kernel would look for a victim on the whole host", trimSlash(c.Name))
	case !m.e.canNest():
		return false, drills.Errorf(drills.Blocked, "it needs cgroup version 1 and the cgroupfs driver",
			"on this host a process inside the target would be the kernel's first victim itself, and the target would not notice")
	}
	w := watchUnit(ctx, m.e.api, target)
	defer w.close()
	asked := time.Now().UTC()
	s, err := m.startBeyond(ctx, target)
	if err != nil {
		return false, err
	}
	closeIt := func() {
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), crashClose)
		defer cancel()
		_ = s.Close(cctx) // how it ended does not matter: it is removed
	}
	defer closeIt()
	for deadline := asked.Add(oomLimit); time.Now().Before(deadline) && ctx.Err() == nil; {
		if _, ok := w.await(ctx, events.ActionOOM, asked, nil); ok {
			break
		}
	}
	closeIt()
	return !saidDone(s), ctx.Err()
}

// saidDone tells whether a helper whose stream is closed had a last word.
func saidDone(s drills.Stream) bool {
	for {
		f, err := s.Recv()
		if err != nil {
			return false
		}
		if f.Type == "done" {
			return true
		}
	}
}

// startBeyond starts the process that takes memory without end.
func (m *more) startBeyond(ctx context.Context, target string) (drills.Stream, error) {
	place := drills.Place{Kind: drills.PlaceCgroup, Target: target, Name: "out-of-memory"}
	host, role, err := m.e.hostConfig(ctx, place)
	if err != nil {
		return nil, err
	}
	host.OomScoreAdj = 0
	run := m.run.withDefaults(m.e.project)
	s, err := m.e.startContainer(ctx, launch{
		name: containerName(run.Run, place), argv: []string{"_agent", "helper"}, env: []string{drills.TargetRootVariable + "=" + targetRoot},
		host: host, labels: run.labels(role, time.Now()), user: root, log: m.e.log.Named("oom"),
	})
	if err != nil {
		return nil, err
	}
	spec, err := json.Marshal(map[string]any{
		"kind": "strain", "op": "beyond", "lease": loopLease.String(), "memory": map[string]any{"beyond": true},
	})
	if err == nil {
		err = s.Send(drills.Frame{Type: "spec", Data: spec})
	}
	return s, err
}
