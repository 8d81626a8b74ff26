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

// oom takes memory in the target's control group until its limit makes the kernel end a process there. Ours is the last one
// that it would choose, so it is one of the target's; ours ends at the first such event, or with the target.
func (m *more) oom(ctx context.Context, target string) error {
	c, err := m.e.api.ContainerInspect(ctx, target)
	switch {
	case err != nil:
		return err
	case c.HostConfig == nil || c.HostConfig.Memory <= 0:
		return drills.Errorf(drills.Blocked, "give it a memory limit", "%s has no memory limit: the kernel would look for a victim on the whole host", trimSlash(c.Name))
	case !m.e.canNest():
		return drills.Errorf(drills.Blocked, "it needs cgroup version 1 and the cgroupfs driver",
			"on this host a process inside the target would be the kernel's first victim itself, and the target would not notice")
	}
	w := watchUnit(ctx, m.e.api, target)
	defer w.close()
	asked := time.Now().UTC()
	s, err := m.startBeyond(ctx, target)
	if err != nil {
		return err
	}
	defer func() {
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), crashClose)
		defer cancel()
		_ = s.Close(cctx) // how it ended does not matter: it is removed
	}()
	for deadline := asked.Add(oomLimit); time.Now().Before(deadline) && ctx.Err() == nil; {
		if _, ok := w.await(ctx, events.ActionOOM, asked, nil); ok {
			break
		}
	}
	return ctx.Err()
}

// startBeyond starts the process that takes memory without end.
func (m *more) startBeyond(ctx context.Context, target string) (drills.Stream, error) {
	place := drills.Place{Kind: drills.PlaceCgroup, Target: target, Name: "out-of-memory"}
	host, role, err := m.e.hostConfig(ctx, place)
	if err != nil {
		return nil, err
	}
	host.OomScoreAdj = adjNever
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
