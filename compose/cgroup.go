package compose

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/eevans-d/simulacro/drills"
)

const (
	// targetRoot is the target's file system in a process that shares its PID namespace.
	targetRoot = "/proc/1/root"
	// engineParent is where the engine puts control groups unless it is told otherwise. The helper checks where it is.
	engineParent = "/docker"
	// adjFirst makes a process the first that the kernel ends when memory is short.
	adjFirst = 1000
)

// canNest tells whether a container of ours may be put below a target's control group: in version 1, where the engine
// manages the groups itself. Version 2 allows no group that has both processes and limited children, and systemd takes
// only slices as parents; there a process is started inside the target.
func (e *Engine) canNest() bool {
	return e.info.CgroupVersion != "2" && e.info.CgroupDriver == "cgroupfs" && !e.inside
}

// cgroupPlace puts a container into a child of the target's control group: the target's limits hold for both together, and
// nothing is copied into it. It shares the PID namespace, so that it ends with its target, and may look into its file
// system (SYS_PTRACE, DAC_OVERRIDE).
func (e *Engine) cgroupPlace(ctx context.Context, h *container.HostConfig, target string) error {
	c, err := e.api.ContainerInspect(ctx, target)
	if err != nil {
		return fmt.Errorf("inspect the target: %w", err)
	}
	if !stateOf(c).up() {
		return drills.Errorf(drills.Blocked, "start it first", "container %s is not running", trimSlash(c.Name))
	}
	h.NetworkMode, h.PidMode = "none", container.PidMode("container:"+c.ID)
	h.CgroupnsMode = container.CgroupnsModeHost
	h.CgroupParent = groupOf(c)
	h.CapAdd = []string{"SYS_PTRACE", "DAC_OVERRIDE"}
	h.OomScoreAdj = adjFirst
	// Beside the target's own threads, which count 1024 each, as much as threads on every CPU would.
	h.CPUShares = 1024 * int64(max(1, e.info.NCPU))
	return nil
}

// groupOf is a container's control group.
func groupOf(c container.InspectResponse) string {
	parent := engineParent
	if c.HostConfig != nil && c.HostConfig.CgroupParent != "" {
		parent = c.HostConfig.CgroupParent
	}
	return path.Join("/", parent, c.ID)
}

// startInside copies the binary into the target and starts it there by the engine's exec, as root. It removes its own file
// when it has begun.
func (e *Engine) startInside(ctx context.Context, p drills.Place, argv []string, run RunLabels) (*stream, error) {
	c, err := e.api.ContainerInspect(ctx, p.Target)
	if err != nil {
		return nil, fmt.Errorf("inspect the target: %w", err)
	}
	name := trimSlash(c.Name)
	switch {
	case !stateOf(c).up() || stateOf(c).paused:
		return nil, drills.Errorf(drills.Blocked, "start it first", "container %s is not running", name)
	case c.HostConfig != nil && c.HostConfig.ReadonlyRootfs:
		return nil, drills.Errorf(drills.Blocked, "drill it on a host with cgroup version 1 and the cgroupfs driver, or let it write to its own layer",
			"container %s has a read-only file system, and control groups of this host take no container of ours beside it: nothing can be started inside it", name)
	}
	file := "/tmp/" + drills.TargetCopyPrefix + randomHex()
	if err := e.copyBinary(ctx, c.ID, file); err != nil {
		if errdefs.IsNotFound(err) || strings.Contains(err.Error(), "not find the file") {
			return nil, drills.Wrap(drills.Blocked, err, "container "+name+" has no /tmp for the helper", "")
		}
		return nil, fmt.Errorf("copy the helper into %s: %w", name, err)
	}
	s, err := e.execInside(ctx, c.ID, append([]string{file}, argv...), e.log.Named(nameOf(p)), run)
	if err != nil {
		return nil, fmt.Errorf("start the helper inside %s (its file %s may be left): %w", name, file, err)
	}
	return s, nil
}
