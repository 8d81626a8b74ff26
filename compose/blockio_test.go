package compose

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/system"
)

func TestTheVolumeBelowAPath(t *testing.T) {
	mounts := []container.MountPoint{
		{Type: mount.TypeVolume, Source: "/var/lib/docker/volumes/a/_data", Destination: "/data", RW: true},
		{Type: mount.TypeBind, Source: "/srv/wal", Destination: "/data/pg_wal", RW: true},
		{Type: mount.TypeTmpfs, Destination: "/run"},
		{Type: mount.TypeBind, Source: "/etc/x", Destination: "/etc/x"},
	}
	for dir, want := range map[string]string{
		"/data":            "/var/lib/docker/volumes/a/_data",
		"/data/base":       "/var/lib/docker/volumes/a/_data/base",
		"/data/pg_wal":     "/srv/wal",
		"/data/pg_wal/old": "/srv/wal/old",
		"/data/pg_wal2":    "/var/lib/docker/volumes/a/_data/pg_wal2",
		"/database":        "error: own layer",
		"/run/x":           "error: is memory",
		"/etc/x":           "error: read-only",
	} {
		got, err := volumeSource(mounts, dir)
		if why, bad := strings.CutPrefix(want, "error: "); bad {
			if err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "not possible here because") {
				t.Errorf("%s: %q %v, want %q", dir, got, err, why)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%s is at %q (%v), want %q", dir, got, err, want)
		}
	}
}

func TestWhereBlockIOCanBeThrottled(t *testing.T) {
	for _, c := range []struct{ version, driver, want string }{
		{"1", "cgroupfs", ""}, {"2", "cgroupfs", "version 2"}, {"2", "systemd", "version 2"}, {"1", "systemd", "leaves control groups to systemd"},
	} {
		e := &Engine{info: system.Info{CgroupVersion: c.version, CgroupDriver: c.driver}}
		if got := e.CanThrottle(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
