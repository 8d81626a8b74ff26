package faultlab

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
)

type with map[string]any

// ways are both ways into a target's control group, on this host.
func ways(t *testing.T, try func(*testing.T, *lab)) {
	t.Helper()
	for name, inside := range map[string]bool{"beside": false, "inside": true} {
		t.Run(name, func(t *testing.T) { try(t, newLab(t, inside)) })
	}
}

// groupFile reads a control group file of a container from the host; only where the host has version 1.
func (l *lab) groupFile(id, controller, file string) string {
	l.t.Helper()
	b, err := os.ReadFile("/proc/" + l.pid(id) + "/root/sys/fs/cgroup/" + controller + "/" + file)
	if err != nil {
		l.t.Skipf("cgroup version 1 is needed to look from outside: %v", err)
	}
	return strings.TrimSpace(string(b))
}

func (l *lab) groupNumber(id, controller, file string) int64 {
	l.t.Helper()
	n, err := strconv.ParseInt(l.groupFile(id, controller, file), 10, 64)
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

func TestCPUStress(t *testing.T) {
	ways(t, func(t *testing.T, l *lab) {
		m := l.member("api", []string{"serve"}, "--cpus", "0.2")
		c := l.plan("cpu-stress", with{"load": "90%"}, m)
		if l.present(c) {
			t.Fatal("present before the do")
		}
		before := l.groupNumber(m.ID, "cpuacct", "cpuacct.usage")
		began := time.Now()
		l.do(c)
		if !l.present(c) {
			t.Error("not present after the do")
		}
		used := l.groupNumber(m.ID, "cpuacct", "cpuacct.usage") - before
		if cores := float64(used) / float64(time.Since(began)); cores < 0.02 || cores > 0.3 {
			t.Errorf("the group used %.3f CPUs under a limit of 0.2", cores)
		}
		l.apply(c, c.Undo)
		if l.present(c) {
			t.Error("present after the undo")
		}
		l.clean(m.ID)
		l.killed(l.held(c), "no stress is left", func() bool { return len(l.strangers(m.ID)) == 0 })
		l.clean(m.ID)
	})
}

func TestMemoryStress(t *testing.T) {
	ways(t, func(t *testing.T, l *lab) {
		m := l.member("api", []string{"serve"}, "--memory", "128m")
		c := l.plan("memory-stress", with{"share": "80%"}, m)
		e := l.do(c)
		var ev struct{ Last, Before struct{ Memory, Limit int64 } }
		if err := json.Unmarshal(e.Evidence, &ev); err != nil || ev.Before.Limit != 128<<20 {
			t.Errorf("evidence %s", e.Evidence)
		}
		if used := l.groupNumber(m.ID, "memory", "memory.usage_in_bytes"); used < 90<<20 || used > 128<<20 {
			t.Errorf("the group holds %d MiB of 128", used>>20)
		}
		l.apply(c, c.Undo)
		l.eventually("the memory is back", 5*time.Second, func() bool { return l.groupNumber(m.ID, "memory", "memory.usage_in_bytes") < 64<<20 })
		l.clean(m.ID)
		l.killed(l.held(c), "the memory is back", func() bool { return l.groupNumber(m.ID, "memory", "memory.usage_in_bytes") < 64<<20 })
		l.clean(m.ID)
		if l.docker("inspect", "-f", "{{.State.OOMKilled}} {{.State.Running}}", m.ID) != "false true" {
			t.Error("the target was harmed")
		}
	})
}

func (l *lab) freeAt(id, path string) int64 {
	l.t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs("/proc/"+l.pid(id)+"/root"+path, &st); err != nil {
		l.t.Fatal(err)
	}
	return int64(st.Bavail) * st.Bsize
}

func TestDiskFill(t *testing.T) {
	ways(t, func(t *testing.T, l *lab) {
		m := l.member("db", []string{"serve"}, "--memory", "256m", "--tmpfs", "/data:size=32m")
		c := l.plan("disk-fill", with{"path": "/data", "share": "100%"}, m)
		l.do(c)
		if free := l.freeAt(m.ID, "/data"); free > 1<<20 {
			t.Errorf("%d bytes free of a full file system", free)
		}
		l.apply(c, c.Undo)
		if free := l.freeAt(m.ID, "/data"); free < 31<<20 {
			t.Errorf("%d bytes free after the undo", free)
		}
		l.clean(m.ID)
		l.killed(l.held(c), "the space is back", func() bool { return l.freeAt(m.ID, "/data") > 31<<20 })
		l.clean(m.ID)
		whole := l.plan("disk-fill", with{"path": "/"}, m)
		whole.Do.ID = "whole"
		if _, err := l.resources.Apply(t.Context(), whole.Do); err == nil || !strings.Contains(err.Error(), "host's disk") {
			t.Errorf("the host's disk: %v", err)
		}
		l.clean(m.ID)
	})
}

// TestTheTargetEndsUnderStress: the pressure ends with it, the run is told, and its control group is not kept alive by us.
func TestTheTargetEndsUnderStress(t *testing.T) {
	ways(t, func(t *testing.T, l *lab) {
		m := l.member("api", []string{"serve"}, "--memory", "128m")
		c := l.plan("memory-stress", with{"size": "16MiB"}, m)
		l.do(c)
		l.docker("kill", m.ID)
		select {
		case why := <-l.ends:
			t.Log(why)
		case <-time.After(20 * time.Second):
			t.Error("nobody was told")
		}
		if l.present(c) {
			t.Error("present without a target")
		}
		if e := l.apply(c, c.Undo); e.Skipped == "" {
			t.Error("the undo says that it did something")
		}
		l.docker("start", m.ID)
		l.clean(m.ID)
		if _, err := os.Stat("/sys/fs/cgroup/memory/docker/" + m.ID); err != nil && l.docker("inspect", "-f", "{{.State.Running}}", m.ID) != "true" {
			t.Error("the target did not come back")
		}
	})
}

func TestResourcesConform(t *testing.T) {
	l := newLab(t, false)
	m := l.member("api", []string{"serve"}, "--memory", "128m", "--cpus", "0.5", "--tmpfs", "/data:size=8m")
	for kind, p := range map[string]with{
		"cpu-stress": {}, "memory-stress": {"share": "60%"}, "disk-fill": {"path": "/data"},
	} {
		c := l.plan(kind, p, m)
		c.Do.ID += kind
		drilltest.Actuator(t, drilltest.ActuatorCase{Name: kind, Change: c, Actuator: l.resources})
	}
	l.clean(m.ID)
}

func TestRefusals(t *testing.T) {
	l := newLab(t, true)
	m := l.member("api", []string{"serve"}, "--read-only")
	_, err := l.resources.Apply(t.Context(), l.plan("memory-stress", with{"size": "8MiB"}, m).Do)
	if drills.CodeOf(err) != drills.Blocked || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a read-only target: %v", err)
	}
	beside := newLab(t, false)
	m = beside.member("api", []string{"serve"}, "--read-only")
	c := beside.plan("memory-stress", with{"size": "8MiB"}, m)
	beside.do(c) // a container beside it needs no file in it
	beside.apply(c, c.Undo)
	beside.clean(m.ID)
}
