package compose

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/eevans-d/simulacro/drills"
)

func TestLabelsRoundTrip(t *testing.T) {
	now := time.Now()
	r := RunLabels{Run: "r1"}.withDefaults("gad")
	o, ok := ownerOf(r.labels(RoleVantage, now))
	if !ok || o.RunLabels != r || o.Role != RoleVantage || !o.Since.Equal(now) || o.PID != os.Getpid() || o.System != "gad" {
		t.Errorf("%+v, want %+v", o, r)
	}
	if _, ok := ownerOf(map[string]string{"a": "b"}); ok {
		t.Error("a stranger's container is ours")
	}
}

func TestIsMember(t *testing.T) {
	base := map[string]string{labelProject: "gad", labelService: "api"}
	for name, tc := range map[string]struct {
		change map[string]string
		want   bool
	}{
		"service":         {nil, true},
		"one-off":         {map[string]string{labelOneOff: "True"}, false},
		"not one-off":     {map[string]string{labelOneOff: "False"}, true},
		"ours":            {map[string]string{LabelRun: "r1"}, false},
		"another project": {map[string]string{labelProject: "gad2"}, false},
		"no service":      {map[string]string{labelService: ""}, false},
	} {
		l := map[string]string{}
		for _, m := range []map[string]string{base, tc.change} {
			for k, v := range m {
				l[k] = v
			}
		}
		if got := isMember(l, "gad"); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestMemberOf(t *testing.T) {
	c := container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{
			ID: "id", Image: "sha256:1", RestartCount: 3,
			State: &container.State{Status: container.StateRunning, StartedAt: "2026-01-02T03:04:05.123456789Z", Health: &container.Health{Status: container.Unhealthy}},
			HostConfig: &container.HostConfig{
				RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: 5},
				Resources:     container.Resources{Memory: 1 << 20},
			},
		},
		Config: &container.Config{Labels: map[string]string{labelService: "redis", labelNumber: "2"}},
		NetworkSettings: &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{
			"gad_back": {IPAddress: "10.0.0.2"}, "shared": {IPAddress: "10.1.0.2"},
		}},
	}
	m := memberOf(c, "gad", true)
	if m.Name != "redis-2" || m.Service != "redis" || m.Healthy || m.Restarts != 3 || m.Policy != "on-failure:5" || m.StartedAt.Nanosecond() != 123456789 {
		t.Errorf("%+v", m)
	}
	if m.Networks["back"] != "10.0.0.2" || m.Networks["shared"] != "10.1.0.2" || m.Limits["memory"] != 1<<20 || len(m.Limits) != 1 {
		t.Errorf("networks %v, limits %v", m.Networks, m.Limits)
	}
	c.State.Health = nil
	if m := memberOf(c, "gad", false); m.Name != "redis" || !m.Healthy {
		t.Errorf("%+v", m)
	}
}

func TestSocketPath(t *testing.T) {
	t.Setenv("DOCKER_HOST", "tcp://203.0.113.1:2375")
	for in, want := range map[string]string{
		"unix:///run/x.sock": "/run/x.sock", "": "remote", "tcp://127.0.0.1:2375": "remote", "ssh://u@h": "remote", "unix://": "remote", "/run/x.sock": "remote",
	} {
		got, err := socketPath(in)
		if want == "remote" {
			if drills.CodeOf(err) != drills.Blocked || !strings.Contains(err.Error(), "unix://") {
				t.Errorf("%q: %q %v", in, got, err)
			}
		} else if got != want || err != nil {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
	t.Setenv("DOCKER_HOST", "")
	if got, err := socketPath(""); got != "/var/run/docker.sock" || err != nil {
		t.Errorf("default: %q %v", got, err)
	}
}

func TestOpenSaysWhyItCannot(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	for path, want := range map[string]string{filepath.Join(dir, "none.sock"): "install and start Docker", stale: "systemctl start docker"} {
		_, err := Open(t.Context(), Options{Host: "unix://" + path})
		if drills.CodeOf(err) != drills.Blocked || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestLeftovers(t *testing.T) {
	c := func(name, run, role string, state container.ContainerState) container.Summary {
		r := RunLabels{Run: run, System: "gad", Host: "h", PID: 1}
		return container.Summary{Names: []string{"/" + name}, State: state, Labels: r.labels(role, time.Now())}
	}
	list := []container.Summary{
		c("live-guard", "live", RoleGuard, container.StateRunning), c("live-vantage", "live", RoleVantage, container.StateRunning),
		c("dead-guard", "dead", RoleGuard, container.StateExited), c("dead-vantage", "dead", RoleVantage, container.StateRunning), c("dead-helper", "dead", RoleHelper, container.StateCreated),
		c("new-guard", "new", RoleGuard, container.StateCreated), c("new-vantage", "new", RoleVantage, container.StateRunning),
		c("lone-vantage", "lone", RoleVantage, container.StateRunning), c("busy-vantage", "busy", RoleVantage, container.StateRunning),
		{Names: []string{"/stranger"}, Labels: map[string]string{LabelSystem: "gad"}},
	}
	var got []string
	for _, l := range leftoversOf(list, func(o owner) bool { return o.Run != "lone" }) {
		got = append(got, l.Name)
	}
	if s := strings.Join(got, " "); s != "dead-helper dead-vantage lone-vantage" {
		t.Errorf("left over: %s", s)
	}
}

func TestOwnerLives(t *testing.T) {
	me := RunLabels{Host: "h", PID: os.Getpid()}
	for name, tc := range map[string]struct {
		o    owner
		want bool
	}{
		"this process":    {owner{RunLabels: me, Since: time.Now()}, true},
		"another host":    {owner{RunLabels: RunLabels{Host: "x", PID: 1 << 30}}, true},
		"no such process": {owner{RunLabels: RunLabels{Host: "h", PID: 1 << 30}}, false},
		"number reused":   {owner{RunLabels: me, Since: time.Now().Add(-time.Hour)}, false},
	} {
		if got := ownerLives(tc.o, "h"); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestHoldsLock(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		s    container.State
		age  time.Duration
		want bool
	}{
		"running": {container.State{Status: container.StateRunning, Running: true}, time.Hour, true},
		"paused":  {container.State{Status: container.StatePaused, Running: true, Paused: true}, time.Hour, true},
		"exited":  {container.State{Status: container.StateExited}, 0, false},
		"created": {container.State{Status: container.StateCreated}, time.Second, true},
		"stuck":   {container.State{Status: container.StateCreated}, time.Hour, false},
	} {
		if got := holdsLock(&tc.s, owner{Since: now.Add(-tc.age)}, now); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("x", 300)
	n := containerName("run/1 "+long, drills.Place{Kind: drills.PlaceNetwork, Name: "prøbe"})
	if len(n) > 130 || strings.ContainsAny(n, "/ ø") {
		t.Errorf("container name %q", n)
	}
	if GuardName("a") == GuardName("b") || GuardName(long+"a") == GuardName(long+"b") {
		t.Error("two projects share a lock")
	}
	s := OneLiner("r1", "gad")
	if !strings.Contains(s, LabelRun+"=r1 ") || !strings.Contains(s, labelProject+"=gad ") || !strings.Contains(s, "unpause") || !strings.Contains(s, "docker start") {
		t.Errorf("one-liner %q", s)
	}
}
