package compose

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/eevans-d/simulacro/drills"
)

// sandboxOf opens an isolated container of a member's image with a volume of the project in it.
func sandboxOf(t *testing.T, l *lab, run string) (drills.Stream, container.InspectResponse) {
	t.Helper()
	ctx := l.ctx()
	name := l.project + "_backups"
	if _, err := l.e.api.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: map[string]string{labelProject: l.project, labelVolume: "backups"}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.e.api.VolumeRemove(context.WithoutCancel(ctx), name, true) })
	member := l.member("db", 1, []string{"sleep"}, func(c *container.Config, h *container.HostConfig, _ *network.EndpointSettings) {
		c.User, c.Env = nobody, []string{"SECRET=of the member"}
		h.Memory = 128 << 20
	})
	s, err := l.e.Launcher(RunLabels{Run: run}).Start(ctx, drills.Place{
		Kind: drills.PlaceSandbox, Target: member, Name: "sandbox-x",
		Sandbox: &drills.Sandbox{Volumes: []drills.VolumeToRead{{Name: "backups", At: "/backups"}}},
	}, []string{"_agent", "echo"})
	if err != nil {
		t.Fatal(err)
	}
	list, err := l.e.ours(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if o, _ := ownerOf(c.Labels); o.Run == run && o.Role == RoleSandbox {
			i, err := l.e.api.ContainerInspect(ctx, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			return s, i
		}
	}
	t.Fatal("no sandbox carries the run's label")
	return nil, container.InspectResponse{}
}

// TestSandboxIsIsolated: what the engine itself says of the container.
func TestSandboxIsIsolated(t *testing.T) {
	l := newLab(t)
	s, c := sandboxOf(t, l, "run-sandbox-"+l.project)
	if string(c.HostConfig.NetworkMode) != "none" {
		t.Errorf("it is in network %s", c.HostConfig.NetworkMode)
	}
	if len(c.Mounts) != 1 || c.Mounts[0].RW || c.Mounts[0].Type != mount.TypeVolume || c.Mounts[0].Destination != "/backups" {
		t.Errorf("its mounts are %+v", c.Mounts)
	}
	if strings.Contains(strings.Join(c.Config.Env, " "), "SECRET") || c.Config.User != nobody || c.HostConfig.Memory != 128<<20 || len(c.HostConfig.CapAdd) > 0 {
		t.Errorf("env %v, user %s, memory %d, capabilities %v", c.Config.Env, c.Config.User, c.HostConfig.Memory, c.HostConfig.CapAdd)
	}
	members, err := l.e.Members(l.ctx())
	if err != nil || len(members) != 1 {
		t.Errorf("the system has members %v (%v): a sandbox is none", members, err)
	}
	if err := s.Close(l.ctx()); err != nil {
		t.Error(err)
	}
	l.eventually("the sandbox gone", 20*time.Second, func() bool {
		list, err := l.e.ours(l.ctx())
		for _, x := range list {
			if x.ID == c.ID {
				return false
			}
		}
		return err == nil
	})
}

func TestSandboxRefusesAVolumeThatIsNotThere(t *testing.T) {
	l := newLab(t)
	member := l.member("db", 1, []string{"sleep"})
	_, err := l.e.Launcher(RunLabels{Run: "r"}).Start(l.ctx(), drills.Place{
		Kind: drills.PlaceSandbox, Target: member, Sandbox: &drills.Sandbox{Volumes: []drills.VolumeToRead{{Name: "no-such", At: "/x"}}},
	}, []string{"_agent", "echo"})
	if drills.CodeOf(err) != drills.Blocked {
		t.Errorf("%v, want a refusal", err)
	}
}

// TestDestroyTakesTheVolumesAlong: afterwards the engine knows neither the container nor what it could write.
func TestDestroyTakesTheVolumesAlong(t *testing.T) {
	l := newLab(t)
	ctx := l.ctx()
	name := l.project + "_data"
	id := l.member("db", 1, []string{"sleep"}, func(_ *container.Config, h *container.HostConfig, _ *network.EndpointSettings) {
		h.Mounts = []mount.Mount{{Type: mount.TypeVolume, Source: name, Target: "/data"}}
	})
	t.Cleanup(func() { _ = l.e.api.VolumeRemove(context.WithoutCancel(ctx), name, true) })
	o := op(t, VerbDestroy, id, nil)
	e, err := l.e.Units().Apply(ctx, o)
	if err != nil || !e.Proven || !strings.Contains(string(e.Evidence), name) {
		t.Fatalf("%+v %v", e, err)
	}
	if _, err := l.e.api.VolumeInspect(ctx, name); err == nil {
		t.Error("the volume is still there")
	}
	if there, err := l.e.Units().Present(ctx, o); err != nil || !there {
		t.Errorf("present %v %v", there, err)
	}
}
