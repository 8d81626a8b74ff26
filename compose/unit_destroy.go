package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/eevans-d/simulacro/drills"
)

// VerbDestroy removes a member for good: its container, and the volumes that it may write.
const VerbDestroy = "unit.destroy"

// destroyer is what of the engine's API a destruction needs.
type destroyer interface {
	ContainerRemove(ctx context.Context, id string, o container.RemoveOptions) error
	VolumeRemove(ctx context.Context, id string, force bool) error
}

// destroyed is the evidence of a destruction.
type destroyed struct {
	Container string   `json:"container"`
	Volumes   []string `json:"volumes"`
}

// destroy kills and removes the container and then its volumes. A volume that somebody else uses is kept and named as an
// error: data that are still there would make a rebuild from them look like one from a backup.
func (u *units) destroy(ctx context.Context, op drills.Op) (drills.Effect, error) {
	api, ok := u.api.(destroyer)
	if !ok {
		return drills.Effect{}, fmt.Errorf("%s: this engine's client cannot remove anything", op.Verb)
	}
	c, err := u.api.ContainerInspect(ctx, op.Target)
	if err != nil {
		return drills.Effect{}, fmt.Errorf("%s: inspect: %w", op.Verb, err)
	}
	e := drills.Effect{From: time.Now().UTC(), Source: "docker api return"}
	if err := api.ContainerRemove(ctx, op.Target, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, err)
	}
	e.To = time.Now().UTC()
	d := destroyed{Container: trimSlash(c.Name)}
	var errs []error
	for _, m := range c.Mounts {
		if m.Type != mount.TypeVolume || !m.RW || slices.Contains(d.Volumes, m.Name) {
			continue
		}
		err := api.VolumeRemove(ctx, m.Name, false)
		if err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("%s: volume %s stays: %w", op.Verb, m.Name, err))
			continue
		}
		d.Volumes = append(d.Volumes, m.Name)
	}
	if err := errors.Join(errs...); err != nil {
		return drills.Effect{}, err
	}
	_, err = u.api.ContainerInspect(ctx, op.Target)
	e.Proven = errdefs.IsNotFound(err)
	e.Evidence, err = json.Marshal(d)
	return e, err
}
