package compose

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"

	"github.com/eevans-d/simulacro/drills"
)

// nobody is the user of containers that need no capability.
const nobody = "65534:65534"

// root is the user of containers that need one: capabilities given to other users are not in effect.
const root = "0:0"

// CPU weights on a busy host (the engine's default is 1024). What measures or undoes must not wait behind what it measures;
// a load generator must not take the target's share.
const (
	weightOurs = 8192
	weightLoad = 512
)

// guardSocket is where the engine's socket is inside the guard.
const guardSocket = "/engine.sock"

// hostConfig is the container that a place means. Everything that the place does not need is taken away.
func (e *Engine) hostConfig(ctx context.Context, p drills.Place) (*container.HostConfig, string, error) {
	h := &container.HostConfig{
		CapDrop: []string{"ALL"}, ReadonlyRootfs: true, AutoRemove: true,
		SecurityOpt: []string{"no-new-privileges:true"},
		// Frames are data for us alone; as container logs they would fill the engine's disk.
		LogConfig: container.LogConfig{Type: "none"},
	}
	role := RoleHelper
	switch p.Kind {
	case drills.PlaceNetwork:
		name, err := e.networkName(ctx, p.Network)
		if err != nil {
			return nil, "", err
		}
		role = RoleVantage
		h.NetworkMode = container.NetworkMode(name)
		h.Ulimits = e.ulimits([]*container.Ulimit{{Name: "nofile"}})
	case drills.PlaceTarget:
		h.NetworkMode = container.NetworkMode("container:" + p.Target)
		h.CapAdd = []string{"NET_ADMIN"}
	case drills.PlaceHostPID:
		h.NetworkMode, h.PidMode, h.UsernsMode = "none", "host", "host"
		h.CapAdd = []string{"KILL"}
	case drills.PlaceLimits:
		h.NetworkMode, h.PidMode, h.UsernsMode = "none", "host", "host"
	case drills.PlaceCgroup:
		if err := e.cgroupPlace(ctx, h, p.Target); err != nil {
			return nil, "", err
		}
		return h, role, nil
	case drills.PlaceBlockIO:
		if err := e.blockPlace(ctx, h, p); err != nil {
			return nil, "", err
		}
	case drills.PlaceGuard:
		role = RoleGuard
		e.guardPlace(h)
	default:
		return nil, "", fmt.Errorf("%q is not a place", p.Kind)
	}
	h.CPUShares = weightOurs
	if p.Kind == drills.PlaceNetwork && !p.Realtime {
		h.CPUShares = weightLoad
	}
	if p.Kind == drills.PlaceNetwork && p.Deaf {
		h.CapAdd = append(h.CapAdd, "NET_ADMIN")
	}
	if p.Realtime {
		h.CapAdd = append(h.CapAdd, "SYS_NICE")
	}
	return h, role, nil
}

// guardPlace lets the guard, and nothing else of ours, talk to the engine; it stays readable after it has ended.
func (e *Engine) guardPlace(h *container.HostConfig) {
	h.NetworkMode, h.UsernsMode, h.AutoRemove = "none", "host", false
	h.SecurityOpt = append(h.SecurityOpt, "label=disable")
	h.LogConfig = container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "2"}}
	h.Mounts = []mount.Mount{{Type: mount.TypeBind, Source: e.socket, Target: guardSocket}}
}

// userOf is the user that a place needs. The guard runs as the socket's owner, who may open it without any capability.
func userOf(p drills.Place, socket string) string {
	switch {
	case p.Kind == drills.PlaceGuard:
		if st, err := os.Stat(socket); err == nil {
			if sys, ok := st.Sys().(*syscall.Stat_t); ok {
				return fmt.Sprintf("%d:%d", sys.Uid, sys.Gid)
			}
		}
		return root
	case p.Kind == drills.PlaceLimits && p.User != "":
		return p.User
	case p.Kind == drills.PlaceNetwork && !p.Realtime && !p.Deaf:
		return nobody
	}
	return root
}

// networkName resolves a short network name: the project's own first, then any that the Compose file calls so, then an
// engine-wide name.
func (e *Engine) networkName(ctx context.Context, short string) (string, error) {
	list, err := e.api.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("driver", "bridge"))})
	if err != nil {
		return "", fmt.Errorf("list networks: %w", err)
	}
	names := map[string]bool{}
	for _, n := range list {
		if n.Labels[labelProject] == e.project && n.Labels[labelNetwork] == short {
			return n.Name, nil
		}
		names[n.Name] = true
	}
	for _, name := range []string{e.project + "_" + short, short} {
		if names[name] && short != "" {
			return name, nil
		}
	}
	known := slices.DeleteFunc(slices.Sorted(maps.Keys(names)), func(n string) bool { return !strings.HasPrefix(n, e.project+"_") })
	for i, n := range known {
		known[i] = shortNetwork(n, e.project)
	}
	return "", drills.Errorf(drills.Blocked, "start the system, or name a network that it has", "project %q has no network %q; it has %v", e.project, short, known)
}
