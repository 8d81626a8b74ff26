package compose

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/eevans-d/simulacro/drills"
)

const (
	// blockGroups is where hosts with control groups of version 1 have those of block I/O.
	blockGroups = "/sys/fs/cgroup/blkio"
	// groupAt and volumeAt are where the helper finds the target's group and volume.
	groupAt, volumeAt = "/group", "/volume"
)

// CanThrottle says why block I/O cannot be throttled here; "" where it can, as far as can be told without a target.
func (e *Engine) CanThrottle() string {
	switch {
	case e.info.CgroupVersion == "2":
		return "the host has control groups of version 2, whose io.max simulacro does not set"
	case e.info.CgroupDriver != "cgroupfs":
		return "the engine leaves control groups to " + e.info.CgroupDriver + ", which may set their limits again"
	}
	return ""
}

// blockPlace mounts the target's own block I/O group and the directory of its volume, and nothing else of the host.
func (e *Engine) blockPlace(ctx context.Context, h *container.HostConfig, p drills.Place) error {
	if why := e.CanThrottle(); why != "" {
		return drills.Errorf(drills.Blocked, "use a host with version 1 and the cgroupfs driver, or `pause`", "not possible here because %s", why)
	}
	c, err := e.api.ContainerInspect(ctx, p.Target)
	if err != nil {
		return fmt.Errorf("inspect the target: %w", err)
	}
	if !stateOf(c).up() {
		return drills.Errorf(drills.Blocked, "start it first", "container %s is not running", trimSlash(c.Name))
	}
	source, err := volumeSource(c.Mounts, p.Path)
	if err != nil {
		return err
	}
	h.NetworkMode, h.UsernsMode = "none", "host"
	h.SecurityOpt = append(h.SecurityOpt, "label=disable")
	h.CapAdd = []string{"DAC_OVERRIDE"} // the volume's directory may be anybody's
	h.Mounts = []mount.Mount{
		{Type: mount.TypeBind, Source: path.Join(blockGroups, groupOf(c)), Target: groupAt},
		{Type: mount.TypeBind, Source: source, Target: volumeAt},
	}
	return nil
}

// volumeSource is where on the host a directory of a container's volume is.
func volumeSource(mounts []container.MountPoint, dir string) (string, error) {
	var best *container.MountPoint
	for i, m := range mounts {
		if (dir == m.Destination || strings.HasPrefix(dir, strings.TrimSuffix(m.Destination, "/")+"/")) && (best == nil || len(m.Destination) > len(best.Destination)) {
			best = &mounts[i]
		}
	}
	hint := "name a directory of a volume that is on a disk"
	switch {
	case best == nil:
		return "", drills.Errorf(drills.Blocked, hint, "not possible here because %s is in the container's own layer, or in memory: no block device of its own is below it", dir)
	case best.Type == mount.TypeTmpfs || best.Source == "":
		return "", drills.Errorf(drills.Blocked, hint, "not possible here because %s is memory", best.Destination)
	case !best.RW:
		return "", drills.Errorf(drills.Blocked, hint, "not possible here because %s is read-only: the throttle could not be measured", best.Destination)
	}
	return path.Join(best.Source, strings.TrimPrefix(dir, best.Destination)), nil
}
