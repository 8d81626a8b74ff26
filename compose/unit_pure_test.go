package compose

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
)

func TestLimitsAreComparedWithWhatTheEngineSays(t *testing.T) {
	five := int64(5)
	h := &container.HostConfig{Resources: container.Resources{Memory: 100, MemorySwap: 200, CPUQuota: -1, PidsLimit: &five}}
	for _, tc := range []struct {
		l    Limits
		want bool
	}{
		{Limits{}, true},
		{Limits{Memory: 100, Swap: 200}, true},
		{Limits{Memory: 100, Swap: 300}, false},
		{Limits{Memory: 50}, false},
		{Limits{Quota: -1}, true},
		{Limits{Quota: 10}, false},
		{Limits{PIDs: 5}, true},
		{Limits{PIDs: -1}, false},
		{Limits{NanoCPUs: 1}, false},
	} {
		if got := tc.l.in(h); got != tc.want {
			t.Errorf("%+v: %v", tc.l, got)
		}
	}
	if !(Limits{PIDs: -1, Quota: -1}).in(&container.HostConfig{}) {
		t.Error("no limits are not no limits")
	}
}

func TestAReplacementLeavesOutWhatTheEngineMadeUp(t *testing.T) {
	const id = "0123456789abcdef"
	config, host, ends := replacementOf(container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{ID: id, HostConfig: &container.HostConfig{
			NetworkMode: "p_a", Binds: []string{"named:/named:rw"}, Mounts: []mount.Mount{{Type: mount.TypeVolume, Target: "/mounted"}},
		}},
		Config: &container.Config{Hostname: id[:12]},
		Mounts: []container.MountPoint{
			{Type: "volume", Name: "named", Destination: "/named"},
			{Type: "volume", Name: "m", Destination: "/mounted"},
			{Type: "volume", Name: "anonymous", Destination: "/anon"},
			{Type: "bind", Source: "/x", Destination: "/bound"},
		},
		NetworkSettings: &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{
			"p_a": {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: "10.0.0.9"}, Aliases: []string{"db", id[:12]}, IPAddress: "10.0.0.9"},
			"p_b": {IPAddress: "10.1.0.7"},
		}},
	})
	if config.Hostname != "" {
		t.Errorf("host name %q", config.Hostname)
	}
	if len(host.Binds) != 2 || host.Binds[1] != "anonymous:/anon" {
		t.Errorf("binds %v", host.Binds)
	}
	a, b := ends["p_a"], ends["p_b"]
	if len(a.Aliases) != 1 || a.Aliases[0] != "db" || a.IPAMConfig.IPv4Address != "10.0.0.9" || b == nil || b.IPAMConfig != nil || b.IPAddress != "" {
		t.Errorf("ends %+v %+v", a, b)
	}
}

func TestKernelFacts(t *testing.T) {
	if n := softNofile("Max processes 5 6 processes\nMax open files            1024                 4096                 files\n"); n != 1024 {
		t.Errorf("soft limit %d", n)
	}
	if n := softNofile("Max open files            unlimited            unlimited            files\n"); n != 0 {
		t.Errorf("no limit: %d", n)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "0"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := openFiles(dir); n < 1 {
		t.Errorf("%d open files", n)
	}
	facts := map[string]int64{}
	addKernelFacts(facts, "no container has this id", os.Getpid())
	if len(facts) != 0 {
		t.Errorf("another process's facts: %v", facts)
	}
}

func TestTheGroupOfAContainer(t *testing.T) {
	c := container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{ID: "abc", HostConfig: &container.HostConfig{}}}
	if g := groupOf(c); g != "/docker/abc" {
		t.Error(g)
	}
	c.HostConfig.CgroupParent = "own"
	if g := groupOf(c); g != "/own/abc" {
		t.Error(g)
	}
}
