package compose

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/eevans-d/simulacro/drills"
)

// inspectParallel bounds how many containers are inspected at a time.
const inspectParallel = 4

// Members lists the containers of the project, running or not, by name. Component and Role are left empty. Limits has
// the engine's limits where they are set ("memory" and "memory-swap" in bytes, "nano-cpus", "cpu-quota" and "cpu-period" in
// microseconds, "pids") and what the kernel says of a running member ("nofile-soft", "open-files", "processes").
func (e *Engine) Members(ctx context.Context) ([]drills.Member, error) {
	found, err := e.inspectProject(ctx)
	if err != nil {
		return nil, err
	}
	return e.membersOf(found), nil
}

// membersOf turns inspected containers into members, by name.
func (e *Engine) membersOf(found []container.InspectResponse) []drills.Member {
	count := map[string]int{}
	for _, c := range found {
		count[c.Config.Labels[labelService]]++
	}
	out := make([]drills.Member, 0, len(found))
	for _, c := range found {
		m := memberOf(c, e.project, count[c.Config.Labels[labelService]] > 1)
		if c.State != nil {
			addKernelFacts(m.Limits, c.ID, c.State.Pid)
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b drills.Member) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// listProject lists the containers of the project's services.
func (e *Engine) listProject(ctx context.Context) ([]container.Summary, error) {
	l, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelProject+"="+e.project))})
	if err != nil {
		return nil, fmt.Errorf("list containers of project %q: %w", e.project, err)
	}
	return slices.DeleteFunc(l, func(c container.Summary) bool {
		return !isMember(c.Labels, e.project) || strings.HasPrefix(firstName(c.Names), replacePrefix) // that one is no member yet
	}), nil
}

// inspectProject inspects them; one that was removed meanwhile is left out.
func (e *Engine) inspectProject(ctx context.Context) ([]container.InspectResponse, error) {
	list, err := e.listProject(ctx)
	if err != nil {
		return nil, err
	}
	found, err := e.inspectAll(ctx, list)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(c container.InspectResponse) bool { return c.ContainerJSONBase == nil || c.Config == nil }), nil
}

// memberOf turns an inspected container into a member. Scaled services carry their container number in the name.
func memberOf(c container.InspectResponse, project string, scaled bool) drills.Member {
	service := c.Config.Labels[labelService]
	m := drills.Member{
		ID: c.ID, Name: service, Service: service, Image: c.Image, Labels: c.Config.Labels,
		Restarts: c.RestartCount, Networks: map[string]string{}, Limits: map[string]int64{},
	}
	if scaled {
		m.Name = service + "-" + c.Config.Labels[labelNumber]
	}
	if c.State != nil {
		m.State = c.State.Status
		m.Healthy = c.State.Status == container.StateRunning && healthOK(c.State.Health)
		m.StartedAt = parseTime(c.State.StartedAt)
	}
	if c.NetworkSettings != nil {
		for name, n := range c.NetworkSettings.Networks {
			m.Networks[shortNetwork(name, project)] = n.IPAddress
		}
	}
	if c.HostConfig != nil {
		m.Policy = policyOf(c.HostConfig.RestartPolicy)
		setLimit(m.Limits, "memory", c.HostConfig.Memory)
		setLimit(m.Limits, "memory-swap", c.HostConfig.MemorySwap)
		setLimit(m.Limits, "nano-cpus", c.HostConfig.NanoCPUs)
		setLimit(m.Limits, "cpu-quota", c.HostConfig.CPUQuota)
		setLimit(m.Limits, "cpu-period", c.HostConfig.CPUPeriod)
		if p := c.HostConfig.PidsLimit; p != nil {
			setLimit(m.Limits, "pids", *p)
		}
	}
	return m
}

// healthOK is true without a health check: then running is all that can be said.
func healthOK(h *container.Health) bool {
	return h == nil || h.Status == container.NoHealthcheck || h.Status == "" || h.Status == container.Healthy
}

// shortNetwork strips the project's prefix, so that drills name networks as the Compose file does.
func shortNetwork(name, project string) string { return strings.TrimPrefix(name, project+"_") }

func policyOf(p container.RestartPolicy) string {
	if p.Name == container.RestartPolicyOnFailure && p.MaximumRetryCount > 0 {
		return string(p.Name) + ":" + strconv.Itoa(p.MaximumRetryCount)
	}
	if p.Name == "" {
		return string(container.RestartPolicyDisabled)
	}
	return string(p.Name)
}

func setLimit(limits map[string]int64, name string, v int64) {
	if v > 0 {
		limits[name] = v
	}
}

// parseTime reads the engine's timestamps; the zero time for "0001-01-01T00:00:00Z" and for nonsense.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
