package compose

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"github.com/eevans-d/simulacro/drills"
)

// startSandbox makes an empty container from a member's image: no network, no environment of the member's, none of its
// volumes but those that are asked for, and these to read only. Our binary is its first process, so that everything in it ends
// with our stream or its lease, and the container with it. It is no member: it carries our labels alone.
func (l *launcher) startSandbox(ctx context.Context, p drills.Place, argv []string) (drills.Stream, error) {
	t, err := l.e.api.ContainerInspect(ctx, p.Target)
	if err != nil || t.Config == nil || t.HostConfig == nil {
		return nil, drills.Wrap(drills.Blocked, err, "the member whose image the sandbox is made from cannot be inspected", "")
	}
	host := &container.HostConfig{
		NetworkMode: "none", AutoRemove: true, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges:true"},
		LogConfig: container.LogConfig{Type: "none"}, ShmSize: t.HostConfig.ShmSize,
		Resources: container.Resources{Memory: t.HostConfig.Memory, CPUShares: weightLoad},
	}
	var want drills.Sandbox
	if p.Sandbox != nil {
		want = *p.Sandbox
	}
	for _, v := range want.Volumes {
		m, err := l.e.readOnly(ctx, v)
		if err != nil {
			return nil, err
		}
		host.Mounts = append(host.Mounts, m)
	}
	image := t.Image
	if want.Image != "" {
		image = want.Image
	}
	return l.e.startContainer(ctx, launch{
		name: containerName(l.run.Run, p), argv: argv, host: host, labels: l.run.labels(RoleSandbox, time.Now()),
		user: t.Config.User, log: l.e.log.Named(nameOf(p)), image: image,
	})
}

// readOnly finds a volume by its short name. One that does not exist is refused: the engine would make an empty one.
func (e *Engine) readOnly(ctx context.Context, v drills.VolumeToRead) (mount.Mount, error) {
	list, err := e.api.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelProject+"="+e.project))})
	if err != nil {
		return mount.Mount{}, fmt.Errorf("list volumes: %w", err)
	}
	var known []string
	for _, x := range list.Volumes {
		short := x.Labels[labelVolume]
		if short == v.Name {
			return mount.Mount{Type: mount.TypeVolume, Source: x.Name, Target: v.At, ReadOnly: true}, nil
		}
		known = append(known, short)
	}
	slices.Sort(known)
	return mount.Mount{}, drills.Errorf(drills.Blocked, "name one that it has: "+strings.Join(known, ", "), "project %q has no volume %q", e.project, v.Name)
}

// createForeign makes a container from an image that is not ours and puts our binary into it.
func (e *Engine) createForeign(ctx context.Context, l launch) (string, error) {
	if err := e.binary.checkStatic(); err != nil {
		return "", err
	}
	c, err := e.api.ContainerCreate(ctx, &container.Config{
		Image: l.image, Entrypoint: []string{"/" + agentPath}, Cmd: l.argv, Labels: l.labels, User: l.user, WorkingDir: "/",
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		OpenStdin:   true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
	}, l.host, nil, nil, l.name)
	if err != nil {
		return "", fmt.Errorf("create %s: %w", l.name, err)
	}
	r, w := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_ = w.CloseWithError(e.binary.writeLayer(w, io.Discard)) // the reader gets it
	}()
	err = e.api.CopyToContainer(ctx, c.ID, "/", r, container.CopyToContainerOptions{})
	_ = r.Close()
	<-written
	if err != nil {
		e.discard(ctx, c.ID)
		return "", fmt.Errorf("put the binary into %s: %w", l.name, err)
	}
	return c.ID, nil
}
