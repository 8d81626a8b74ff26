package compose

import (
	"context"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/eevans-d/simulacro/drills"
)

// replacePrefix begins the name of a container that is to take the place of another; the other's short id and name follow.
// The replacement is made before the old one is removed, so that whoever finishes the work needs nothing but the engine.
const replacePrefix = "simulacro-replaces-"

// recreateDeed removes a member and makes it anew.
func (m *more) recreateDeed(op drills.Op, a UnitArgs, s unitState) deed {
	newID := ""
	return deed{
		event: events.ActionDie,
		act: func(ctx context.Context) (err error) {
			newID, err = m.recreate(ctx, op.Target, a)
			return err
		},
		check: func(ctx context.Context) (any, bool) {
			_, err := m.e.api.ContainerInspect(ctx, op.Target)
			return map[string]string{"name": s.name, "removed": op.Target, "made": newID}, errdefs.IsNotFound(err)
		},
	}
}

func (m *more) recreate(ctx context.Context, id string, a UnitArgs) (string, error) {
	c, err := m.e.api.ContainerInspect(ctx, id)
	if err != nil {
		return "", err
	}
	if err := m.replaceable(ctx, c); err != nil {
		return "", err
	}
	made, err := m.makeReplacement(ctx, c)
	if err != nil {
		return "", err
	}
	if err := m.e.api.ContainerStop(ctx, id, graceOf(a)); err != nil {
		return "", fmt.Errorf("stop the old one: %w", err)
	}
	if err := m.e.api.ContainerRemove(ctx, id, container.RemoveOptions{}); err != nil {
		return "", fmt.Errorf("remove the old one: %w", err)
	}
	if err := m.takeOver(ctx, made, trimSlash(c.Name)); err != nil {
		return "", err
	}
	return made, m.healthy(ctx, made, a.Within.D())
}

// takeOver starts a replacement and gives it its name.
func (m *more) takeOver(ctx context.Context, id, name string) error {
	if err := m.e.api.ContainerStart(ctx, id, container.StartOptions{}); err != nil && !errdefs.IsNotModified(err) {
		return fmt.Errorf("start the new one: %w", err)
	}
	if err := m.e.api.ContainerRename(ctx, id, name); err != nil {
		return fmt.Errorf("name the new one: %w", err)
	}
	return nil
}

// replaceable refuses what could not be made again as it was.
func (m *more) replaceable(ctx context.Context, c container.InspectResponse) error {
	name := trimSlash(c.Name)
	refuse := func(why string) error {
		return drills.Errorf(drills.Blocked, "drill another member, or use the fault restart", "%s cannot be removed and made again: %s", name, why)
	}
	if c.HostConfig.AutoRemove {
		return refuse("the engine removes it with its volumes when it stops")
	}
	image, err := m.e.api.ImageInspect(ctx, c.Config.Image)
	if err != nil || image.ID != c.Image {
		return refuse("its image " + c.Config.Image + " is gone or another one by now")
	}
	list, err := m.e.api.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		return err
	}
	for _, x := range list {
		if x.HostConfig.NetworkMode == "container:"+c.ID {
			return refuse(firstName(x.Names) + " lives in its network")
		}
	}
	return nil
}

// makeReplacement makes a container with the same settings, volumes, networks, aliases and fixed addresses. It does not run.
func (m *more) makeReplacement(ctx context.Context, c container.InspectResponse) (string, error) {
	config, host, ends := replacementOf(c)
	first, one := "", map[string]*network.EndpointSettings{}
	for name, ep := range ends {
		if first == "" && (string(host.NetworkMode) == name || len(ends) == 1) {
			first, one = name, map[string]*network.EndpointSettings{name: ep}
		}
	}
	made, err := m.e.api.ContainerCreate(ctx, config, host, &network.NetworkingConfig{EndpointsConfig: one}, nil, replacePrefix+c.ID[:12]+"-"+trimSlash(c.Name))
	if err != nil {
		return "", fmt.Errorf("make the new one: %w", err)
	}
	for name, ep := range ends {
		if name == first {
			continue
		}
		if err := m.e.api.NetworkConnect(ctx, name, made.ID, ep); err != nil && !errdefs.IsAlreadyExists(err) && !errdefs.IsPermissionDenied(err) {
			m.e.discard(ctx, made.ID)
			return "", fmt.Errorf("connect the new one to %s: %w", name, err)
		}
	}
	return made.ID, nil
}

// replacementOf is what has to be asked for to get the same container again: what the engine made up for the old one (its
// host name, its short id as an alias, addresses that were not fixed) is left out, volumes without a name are named.
func replacementOf(c container.InspectResponse) (*container.Config, *container.HostConfig, map[string]*network.EndpointSettings) {
	config, host := *c.Config, *c.HostConfig
	if config.Hostname == c.ID[:12] {
		config.Hostname = ""
	}
	known := map[string]bool{}
	for _, b := range host.Binds {
		part := strings.Split(b, ":")
		known[part[min(1, len(part)-1)]] = true
	}
	for _, x := range host.Mounts {
		known[x.Target] = true
	}
	host.Binds = append([]string(nil), host.Binds...)
	for _, x := range c.Mounts {
		if x.Type == "volume" && !known[x.Destination] {
			host.Binds = append(host.Binds, x.Name+":"+x.Destination)
		}
	}
	ends := map[string]*network.EndpointSettings{}
	if c.NetworkSettings != nil && !host.NetworkMode.IsContainer() && !host.NetworkMode.IsHost() && !host.NetworkMode.IsNone() {
		for name, n := range c.NetworkSettings.Networks {
			ep := &network.EndpointSettings{IPAMConfig: n.IPAMConfig, Links: n.Links, DriverOpts: n.DriverOpts}
			for _, alias := range n.Aliases {
				if alias != c.ID[:12] {
					ep.Aliases = append(ep.Aliases, alias)
				}
			}
			ends[name] = ep
		}
	}
	if len(ends) == 1 && host.NetworkMode.IsDefault() {
		ends = map[string]*network.EndpointSettings{} // the engine's default bridge takes no settings
	}
	return &config, &host, ends
}

// replacement is the container that is to take the place of the one with that id; nil when there is none.
func (m *more) replacement(ctx context.Context, id string) (*container.Summary, error) {
	list, err := m.e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("name", replacePrefix+id[:12]))})
	if err != nil {
		return nil, fmt.Errorf("look for a replacement: %w", err)
	}
	for _, c := range list {
		if strings.HasPrefix(firstName(c.Names), replacePrefix+id[:12]) {
			return &c, nil
		}
	}
	return nil, nil
}

// halfReplaced tells whether a container that is gone has a replacement that has not taken its place yet.
func (m *more) halfReplaced(ctx context.Context, id string) (bool, error) {
	temp, err := m.replacement(ctx, id)
	return temp != nil, err
}

// reinstate finishes a recreation that was broken off, or takes it back, whichever keeps the member.
func (u *units) reinstate(ctx context.Context, op drills.Op, a UnitArgs) (drills.Effect, error) {
	temp, err := u.more.replacement(ctx, op.Target)
	if err != nil {
		return drills.Effect{}, err
	}
	_, err = u.api.ContainerInspect(ctx, op.Target)
	gone := errdefs.IsNotFound(err)
	switch {
	case err != nil && !gone:
		return drills.Effect{}, fmt.Errorf("%s: inspect: %w", op.Verb, err)
	case gone && temp == nil:
		return skipped("it was made anew, or somebody removed it: nothing to undo"), nil
	case gone:
		name := strings.TrimPrefix(firstName(temp.Names), replacePrefix+op.Target[:12]+"-")
		d := deed{
			act:   func(ctx context.Context) error { return u.more.takeOver(ctx, temp.ID, name) },
			check: func(context.Context) (any, bool) { return map[string]string{"made": temp.ID, "name": name}, true },
		}
		return u.prove(ctx, op, d)
	case temp != nil:
		if err := u.more.e.removeContainer(ctx, temp.ID); err != nil {
			return drills.Effect{}, err
		}
	}
	return u.undo(ctx, drills.Op{ID: op.ID, Verb: VerbStart, Target: op.Target}, UnitArgs{StartedAt: a.StartedAt})
}
