package faultlab

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
)

// throttleOf reads all throttles of a container's block I/O group from the host; only where the host has version 1.
func (l *lab) throttleOf(id string) string {
	l.t.Helper()
	files, _ := filepath.Glob("/sys/fs/cgroup/blkio/docker/" + id + "/blkio.throttle.*_device")
	if len(files) == 0 {
		l.t.Skip("block I/O groups of version 1 are needed to look from outside")
	}
	var out []string
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if text := strings.TrimSpace(string(b)); text != "" {
			out = append(out, strings.TrimPrefix(filepath.Base(f), "blkio.throttle.")+" "+text)
		}
	}
	return strings.Join(out, "; ")
}

// disk is a member with a volume on the host's disk and a shell.
func (l *lab) disk(flags ...string) drills.Member {
	l.t.Helper()
	volume := l.project + "-disk"
	l.docker("volume", "create", volume)
	l.t.Cleanup(func() { l.remove(); l.try("volume", "rm", "-f", volume) })
	return l.memberOf("gad/base:dev", "db", []string{"600"}, append([]string{"--entrypoint", "sleep", "-v", volume + ":/data"}, flags...)...)
}

// writes is how long the target itself needs for ten direct writes: the independent look.
func (l *lab) writes(id string) time.Duration {
	l.t.Helper()
	began := time.Now()
	l.docker("exec", id, "dd", "if=/dev/zero", "of=/data/look", "bs=4k", "count=10", "oflag=direct")
	return time.Since(began)
}

func TestDiskLatency(t *testing.T) {
	l := newLab(t, false)
	m := l.disk()
	other := l.memberOf("gad/base:dev", "other", []string{"600"}, "--entrypoint", "sleep", "-v", l.project+"-disk:/data")
	c := l.plan("disk-latency", with{"path": "/data", "ops": 5}, m)
	drilltest.Actuator(t, drilltest.ActuatorCase{Name: "disk-latency", Change: c, Actuator: l.unit})
	if now := l.throttleOf(m.ID); now != "" {
		t.Fatalf("left behind: %s", now)
	}
	for name, p := range map[string]with{
		"write_iops_device":                   {"path": "/data", "ops": 5},
		"write_bps_device":                    {"path": "/data", "rate": "64KiB"},
		"write_bps_device and an own maximum": {"path": "/data", "ops": 100, "rate": "64KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			c := l.plan("disk-latency", p, m)
			c.Do.ID, c.Undo.ID = name, name+" undo"
			l.do(c)
			if now := l.throttleOf(m.ID); !strings.Contains(now, strings.Fields(name)[0]) || !l.present(c) {
				t.Errorf("in force: %q, present %v", now, l.present(c))
			}
			slow := l.writes(m.ID)
			if slow < 400*time.Millisecond { // 40 KiB, or 10 operations
				t.Errorf("the target's own writes took %v", slow)
			}
			if d := l.writes(other.ID); d > slow {
				t.Errorf("a bystander on the same disk is slowed: %v, the target %v", d, slow)
			}
			if e := l.apply(c, c.Undo); e.Skipped != "" || !e.Proven {
				t.Errorf("undo %+v", e)
			}
			if e := l.apply(c, c.Undo); e.Skipped == "" {
				t.Error("a second undo did something")
			}
			if now := l.throttleOf(m.ID); now != "" || l.present(c) {
				t.Errorf("left behind: %s", now)
			}
			if d := l.writes(m.ID); d > slow {
				t.Errorf("it is as slow as before: %v", d)
			}
		})
	}
	c = l.plan("disk-latency", with{"path": "/data", "ops": 20}, m)
	l.killed(l.held(c), "the throttle is gone", func() bool { return l.throttleOf(m.ID) == "" })
	l.clean(m.ID)
	if left := l.docker("exec", m.ID, "ls", "-A", "/data"); left != "look" {
		t.Errorf("files left in the volume: %s", left)
	}
}

// TestDiskLatencyEndsWithItsTarget: a restart makes a new control group, and the run is told.
func TestDiskLatencyEndsWithItsTarget(t *testing.T) {
	l := newLab(t, false)
	m := l.disk()
	l.docker("exec", m.ID, "sh", "-c", "mkdir /data/own; chown 1234:1234 /data /data/own; chmod 700 /data /data/own")
	c := l.plan("disk-latency", with{"path": "/data/own", "ops": 20}, m)
	l.do(c)
	l.docker("restart", "-t", "0", m.ID)
	select {
	case why := <-l.ends:
		if !strings.Contains(why, "stopped or restarted") {
			t.Errorf("told %q", why)
		}
	case <-time.After(20 * time.Second):
		t.Error("nobody was told")
	}
	if l.present(c) {
		t.Error("present in the new group")
	}
	if e := l.apply(c, c.Undo); e.Skipped == "" {
		t.Error("the undo says that it did something")
	}
}

// TestDiskLatencyLeavesWhatIsNotOurs: neither a throttle that was there before nor one that came since is touched.
func TestDiskLatencyLeavesWhatIsNotOurs(t *testing.T) {
	l := newLab(t, false)
	m := l.disk("--tmpfs", "/mem:size=8m")
	for path, want := range map[string]string{"/mem": "or in memory", "/usr": "own layer"} {
		c := l.plan("disk-latency", with{"path": path, "ops": 20}, m)
		c.Do.ID = path
		if _, err := l.unit.Apply(t.Context(), c.Do); drills.CodeOf(err) != drills.Blocked || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	c := l.plan("disk-latency", with{"path": "/data", "ops": 20}, m)
	l.do(c)
	device := strings.Fields(l.throttleOf(m.ID))[1]
	file := "/sys/fs/cgroup/blkio/docker/" + m.ID + "/blkio.throttle.write_iops_device"
	set := func(v int) {
		t.Helper()
		if err := os.WriteFile(file, []byte(device+" "+strconv.Itoa(v)), 0); err != nil {
			t.Fatal(err)
		}
	}
	set(333)
	l.apply(c, c.Undo)
	if now := l.throttleOf(m.ID); now != "write_iops_device "+device+" 333" {
		t.Errorf("the undo left ours, or overwrote what somebody else had set: %s", now)
	}
	if e := l.apply(c, c.Undo); !strings.Contains(e.Skipped, "somebody") {
		t.Errorf("a second undo: %+v", e)
	}
	c.Do.ID = "again"
	if _, err := l.unit.Apply(t.Context(), c.Do); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("on top of somebody else's: %v", err)
	}
	set(0)
}

// TestDiskLatencyWithoutADisk: a volume that is no block device's.
func TestDiskLatencyWithoutADisk(t *testing.T) {
	l := newLab(t, false)
	name := l.project + "-mem"
	l.docker("volume", "create", "-d", "local", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=8m", name)
	t.Cleanup(func() { l.remove(); l.try("volume", "rm", "-f", name) })
	m := l.memberOf("gad/base:dev", "db", []string{"600"}, "--entrypoint", "sleep", "-v", name+":/data")
	c := l.plan("disk-latency", with{"path": "/data", "ops": 20}, m)
	if _, err := l.unit.Apply(t.Context(), c.Do); err == nil || !strings.Contains(err.Error(), "not on a block device") {
		t.Errorf("memory: %v", err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat("/sys/fs/cgroup/blkio/docker/"+m.ID, &st); err != nil {
		t.Skip(err)
	}
	if now := l.throttleOf(m.ID); now != "" {
		t.Errorf("left behind: %s", now)
	}
}
