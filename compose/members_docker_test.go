package compose

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/eevans-d/simulacro/drills"
)

func TestMembers(t *testing.T) {
	l := newLab(t)
	one := l.member("db", 1, []string{"sleep"}, policy(container.RestartPolicyAlways), func(_ *container.Config, h *container.HostConfig, _ *network.EndpointSettings) {
		h.Memory = 64 << 20
	})
	l.member("db", 2, []string{"sleep"})
	l.member("web", 1, []string{"sleep"})
	l.member("job", 1, []string{"sleep"}, label(labelOneOff, "True"))
	l.member("web", 9, []string{"sleep"}, label(LabelRun, "r1"))
	if err := l.e.api.ContainerPause(l.ctx(), one); err != nil {
		t.Fatal(err)
	}
	got, err := l.e.Members(l.ctx())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range got {
		names = append(names, m.Name)
	}
	if s := strings.Join(names, " "); s != "db-1 db-2 web" {
		t.Fatalf("members %q", s)
	}
	m := got[0]
	if m.ID != one || m.State != "paused" || m.Healthy || m.Policy != "always" || m.Limits["memory"] != 64<<20 || m.StartedAt.IsZero() || m.Component != "" {
		t.Errorf("paused member: %+v", m)
	}
	if ip := m.Networks["net"]; ip == "" || len(m.Networks) != 1 {
		t.Errorf("networks %v, want an address under the short name", m.Networks)
	}
	if web := got[2]; web.State != "running" || !web.Healthy || web.Policy != "no" || web.Image == "" {
		t.Errorf("running member: %+v", web)
	}
}

func TestDialContext(t *testing.T) {
	l := newLab(t)
	l.member("web", 1, []string{"listen", ":7000"}, func(c *container.Config, _ *container.HostConfig, ep *network.EndpointSettings) {
		c.Hostname = "box"
		ep.Aliases = append(ep.Aliases, "shop")
	})
	down := l.member("down", 1, []string{"sleep"})
	if err := l.e.api.ContainerKill(l.ctx(), down, "KILL"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"web", "shop", "box", l.project + "_web_1"} {
		var got string
		l.eventually("dial "+name, 20*time.Second, func() bool {
			c, err := l.e.DialContext(l.ctx(), "tcp", name+":7000")
			if err != nil {
				return false // not listening yet
			}
			defer c.Close()
			b, _ := io.ReadAll(c)
			got = string(b)
			return true
		})
		if got != "box" {
			t.Errorf("dial %s: answered by %q", name, got)
		}
	}
	if _, err := l.e.DialContext(l.ctx(), "tcp", "down:7000"); err == nil || !strings.Contains(err.Error(), "no container") {
		t.Errorf("dial a member that is down: %v", err)
	}
	if _, err := l.e.DialContext(l.ctx(), "tcp", "no-such-name.invalid:1"); err == nil {
		t.Error("dial an unknown name: no error")
	}
}

func TestLauncherRefusesAnUnknownNetwork(t *testing.T) {
	l := newLab(t)
	_, err := l.e.Launcher(RunLabels{Run: "r"}).Start(context.Background(), drills.Place{Kind: drills.PlaceNetwork, Network: "nope"}, []string{"_agent", "echo"})
	if drills.CodeOf(err) != drills.Blocked || !strings.Contains(err.Error(), "[net]") {
		t.Errorf("got %v, want blocked naming the networks that there are", err)
	}
}

func TestFacts(t *testing.T) {
	l := newLab(t)
	f := l.e.Facts(l.ctx())
	for _, k := range []string{"engine-id", "engine-version", "api-version", "os", "kernel", "cgroup-version", "cgroup-driver", "storage-driver", "cpus", "memory", "nofile-hard", "clock-bound"} {
		if f[k] == "" {
			t.Errorf("no %s in %v", k, f)
		}
	}
	if f["engine-id"] != l.e.ID() {
		t.Errorf("engine id %q, want %q", f["engine-id"], l.e.ID())
	}
	t.Logf("%v", f)
}
