package compose

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"github.com/eevans-d/simulacro/drills"
)

// Limits are limits of a container that the engine can move while it runs. Zero: not touched; -1: none. Memory can be
// moved but, by the engine's own rule, not taken away again.
type Limits struct {
	Memory   int64 `json:"memory,omitempty"`      // bytes
	Swap     int64 `json:"memory-swap,omitempty"` // bytes, memory included
	NanoCPUs int64 `json:"nano-cpus,omitempty"`
	Quota    int64 `json:"cpu-quota,omitempty"` // microseconds per period
	Period   int64 `json:"cpu-period,omitempty"`
	PIDs     int64 `json:"pids,omitempty"`
}

// in tells whether a container has these limits.
func (l Limits) in(h *container.HostConfig) bool {
	pids := int64(0)
	if h.PidsLimit != nil {
		pids = *h.PidsLimit
	}
	for _, x := range [][2]int64{{l.Memory, h.Memory}, {l.Swap, h.MemorySwap}, {l.NanoCPUs, h.NanoCPUs}, {l.Quota, h.CPUQuota}, {l.PIDs, pids}} {
		want, have := x[0], x[1]
		if want < 0 && have <= 0 {
			continue
		}
		if want != 0 && want != have {
			return false
		}
	}
	return true
}

func (l Limits) update() container.UpdateConfig {
	r := container.Resources{Memory: l.Memory, MemorySwap: l.Swap, NanoCPUs: l.NanoCPUs, CPUQuota: l.Quota, CPUPeriod: l.Period}
	if l.PIDs != 0 {
		r.PidsLimit = &l.PIDs
	}
	return container.UpdateConfig{Resources: r}
}

// limitDeed moves the limits of a container that has them as they were when the fault was planned.
func (m *more) limitDeed(op drills.Op, to, was *Limits) (deed, error) {
	if to == nil || was == nil || *to == *was {
		return deed{}, fmt.Errorf("%s: the op needs other limits than there were, and those", op.Verb)
	}
	act := func(ctx context.Context) error {
		c, err := m.e.api.ContainerInspect(ctx, op.Target)
		if err != nil {
			return err
		}
		if !was.in(c.HostConfig) {
			return drills.Errorf(drills.Blocked, "run it again", "somebody has changed the limits of %s since the fault was planned", trimSlash(c.Name))
		}
		_, err = m.e.api.ContainerUpdate(ctx, op.Target, to.update())
		return err
	}
	return deed{event: events.ActionUpdate, act: act, check: func(ctx context.Context) (any, bool) { return m.kernelHas(ctx, op.Target, *to) }}, nil
}

// kernelHas compares what can be seen of the control group with the limits; the engine does not say the CPU quota.
func (m *more) kernelHas(ctx context.Context, id string, want Limits) (any, bool) {
	r, err := m.e.api.ContainerStatsOneShot(ctx, id)
	if err != nil {
		return err.Error(), false
	}
	defer func() { _ = r.Body.Close() }() // only read
	var s container.StatsResponse
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
		return err.Error(), false
	}
	have := map[string]uint64{"memory_limit": s.MemoryStats.Limit, "memory_usage": s.MemoryStats.Usage, "pids_limit": s.PidsStats.Limit, "pids": s.PidsStats.Current}
	ok := (want.Memory <= 0 || s.MemoryStats.Limit == uint64(want.Memory)) && (want.PIDs <= 0 || s.PidsStats.Limit == uint64(want.PIDs))
	return have, ok
}

// limited tells whether a container has the fault's limits.
func (m *more) limited(ctx context.Context, id string, a UnitArgs) (bool, error) {
	c, err := m.e.api.ContainerInspect(ctx, id)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil || a.Limit == nil || a.Was == nil {
		return false, err
	}
	return a.Limit.in(c.HostConfig) && !a.Was.in(c.HostConfig), nil
}

// unlimit sets the limits back if they are still those of the fault. It does so on a container that is down, too: limits
// outlive a restart.
func (u *units) unlimit(ctx context.Context, op drills.Op, a UnitArgs) (drills.Effect, error) {
	if a.Limit == nil || a.Was == nil {
		return drills.Effect{}, fmt.Errorf("%s: the op says no limits", op.Verb)
	}
	c, err := u.api.ContainerInspect(ctx, op.Target)
	switch {
	case errdefs.IsNotFound(err):
		return skipped("the container is gone: removed or replaced by somebody"), nil
	case err != nil:
		return drills.Effect{}, fmt.Errorf("%s: inspect: %w", op.Verb, err)
	case a.Was.in(c.HostConfig):
		return skipped("it has the limits that it had: nothing to undo"), nil
	case !a.Limit.in(c.HostConfig):
		return skipped("somebody has set other limits since: not the state that we left"), nil
	}
	d := deed{event: events.ActionUpdate, act: func(ctx context.Context) error {
		_, err := u.more.e.api.ContainerUpdate(ctx, op.Target, a.Was.update())
		return err
	}}
	return u.prove(ctx, op, d)
}
