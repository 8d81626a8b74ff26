package faultlab

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
)

// workers are the PIDs, on this host, of the member's worker processes.
func (l *lab) workers(id string) []string {
	l.t.Helper()
	var out []string
	for _, line := range strings.Split(l.try("top", id, "-eo", "pid,args"), "\n") {
		if f := strings.Fields(line); len(f) > 2 && f[len(f)-1] == "worker" {
			out = append(out, f[0])
		}
	}
	return out
}

func TestKillOfAProcessInside(t *testing.T) {
	l := newLab(t, false)
	m := l.member("api", []string{"serve", "2"})
	bystander := l.member("other", []string{"serve", "1"})
	l.eventually("workers", 10*time.Second, func() bool { return len(l.workers(m.ID)) == 2 && len(l.workers(bystander.ID)) == 1 })
	before, others := l.workers(m.ID), l.workers(bystander.ID)
	c := l.plan("kill", with{"as": "crash", "process": "*worker"}, m)
	l.do(c)
	for _, pid := range before {
		if _, err := os.Stat("/proc/" + pid); err == nil {
			t.Errorf("process %s lives", pid)
		}
	}
	l.eventually("its supervisor started them again", 10*time.Second, func() bool { return len(l.workers(m.ID)) == 2 })
	if got := l.workers(bystander.ID); !slices.Equal(got, others) {
		t.Errorf("another container's processes were %v, are %v", others, got)
	}
	if e := l.apply(c, c.Undo); e.Skipped == "" {
		t.Error("the fallback did something")
	}
	none := l.plan("kill", with{"as": "crash", "process": "nginx*"}, m)
	none.Do.ID = "none"
	if _, err := l.unit.Apply(t.Context(), none.Do); err == nil || !strings.Contains(err.Error(), "it has") {
		t.Errorf("a process that is not there: %v", err)
	}
	l.clean(m.ID)
}

// started counts how often a container has been started by its policy.
func (l *lab) restarts(id string) int {
	l.t.Helper()
	n, _ := strconv.Atoi(l.docker("inspect", "-f", "{{.RestartCount}}", id))
	return n
}

func (l *lab) running(id string) bool {
	return l.try("inspect", "-f", "{{.State.Running}} {{.State.Restarting}}", id) == "true false"
}

func TestRestartLoop(t *testing.T) {
	l := newLab(t, false)
	m := l.member("api", []string{"serve"}, "--restart", "unless-stopped")
	c := l.plan("restart-loop", with{"every": "500ms"}, m)
	l.do(c)
	l.eventually("crashed again and again", 90*time.Second, func() bool { return l.restarts(m.ID) >= 3 })
	if !l.present(c) {
		t.Error("not present in the loop")
	}
	l.apply(c, c.Undo)
	l.eventually("up again", 60*time.Second, func() bool { return l.running(m.ID) })
	n := l.restarts(m.ID)
	time.Sleep(3 * time.Second)
	if l.present(c) || l.restarts(m.ID) != n || !l.running(m.ID) {
		t.Error("the loop goes on after its undo")
	}
	l.clean(m.ID)

	m = l.now(m.ID)
	cmd := l.held(l.plan("restart-loop", with{"every": "500ms"}, m))
	l.killed(cmd, "the loop's helper is gone", func() bool {
		return l.try("ps", "-q", "--filter", "name=crash-loop-"+m.ID[:12]) == ""
	})
	l.eventually("up again", 60*time.Second, func() bool { return l.running(m.ID) })
	n = l.restarts(m.ID)
	time.Sleep(3 * time.Second)
	if l.restarts(m.ID) != n {
		t.Error("the loop outlived its orchestrator")
	}
	l.clean(m.ID)
}

// TestALoopThatAPolicyGivesUp: the undo starts what nobody else would.
func TestALoopThatAPolicyGivesUp(t *testing.T) {
	l := newLab(t, false)
	m := l.member("api", []string{"serve"}, "--restart", "on-failure:1")
	c := l.plan("restart-loop", with{"every": "500ms"}, m)
	l.do(c)
	l.eventually("given up", 30*time.Second, func() bool { return l.try("inspect", "-f", "{{.State.Status}}", m.ID) == "exited" })
	l.apply(c, c.Undo)
	if !l.running(m.ID) || l.present(c) {
		t.Error("it stayed down")
	}
	l.clean(m.ID)
}

func TestRecreate(t *testing.T) {
	l := newLab(t, false)
	l.docker("network", "create", "--subnet", "10.231.77.0/24", l.project+"_a")
	l.docker("network", "create", l.project+"_b")
	t.Cleanup(func() { l.remove(); l.try("network", "rm", l.project+"_a", l.project+"_b") })
	m := l.member("db", []string{"serve"}, "--name", l.project+"_db_1", "--network", l.project+"_a", "--ip", "10.231.77.9", "--network-alias", "db",
		"-v", "/data", "--memory", "128m", "-e", "A=b", "--restart", "unless-stopped")
	l.docker("network", "connect", "--alias", "dbb", l.project+"_b", m.ID)
	const settings = `{{json .Config.Env}} {{json .Config.Cmd}} {{json .Config.Labels}} {{.HostConfig.Memory}} {{json .HostConfig.RestartPolicy}} {{range .Mounts}}{{.Name}} {{.Destination}}{{end}} ` +
		`{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{json .IPAMConfig}} {{end}}`
	before := l.docker("inspect", "-f", settings, m.ID)
	c := l.plan("recreate", with{"within": "20s"}, m)
	l.do(c)
	made := l.docker("ps", "-q", "--no-trunc", "--filter", "name=^/"+l.project+"_db_1$")
	if made == "" || made == m.ID {
		t.Fatalf("made %q in the place of %s", made, m.ID)
	}
	if after := l.docker("inspect", "-f", settings, made); after != before {
		t.Errorf("the new one differs:\n%s\n%s", before, after)
	}
	if ip := l.docker("inspect", "-f", `{{(index .NetworkSettings.Networks "`+l.project+`_a").IPAddress}}`, made); ip != "10.231.77.9" {
		t.Errorf("address %s", ip)
	}
	for network, alias := range map[string]string{"_a": "db", "_b": "dbb"} {
		if all := l.docker("inspect", "-f", `{{json (index .NetworkSettings.Networks "`+l.project+network+`").Aliases}}`, made); !strings.Contains(all, `"`+alias+`"`) {
			t.Errorf("aliases in %s: %s", network, all)
		}
	}
	if l.present(c) {
		t.Error("present after all is done")
	}
	if e := l.apply(c, c.Undo); e.Skipped == "" {
		t.Error("there was nothing to undo")
	}
	l.broken(made)
}

// broken tries every place where a recreation may break off: the undo ends with one running member of that name.
func (l *lab) broken(id string) {
	l.t.Helper()
	name := l.project + "_db_1"
	for i, half := range []func(m drills.Member) string{
		func(m drills.Member) string { return l.twin(m) },
		func(m drills.Member) string { twin := l.twin(m); l.docker("stop", "-t", "1", m.ID); return twin },
		func(m drills.Member) string {
			twin := l.twin(m)
			l.docker("stop", "-t", "1", m.ID)
			l.docker("rm", m.ID)
			return twin
		},
		func(m drills.Member) string {
			twin := l.twin(m)
			l.docker("stop", "-t", "1", m.ID)
			l.docker("rm", m.ID)
			l.docker("start", twin)
			return twin
		},
	} {
		m := l.now(id)
		c := l.plan("recreate", with{}, m)
		c.Do.ID, c.Undo.ID = "half"+strconv.Itoa(i), "back"+strconv.Itoa(i)
		half(m)
		if !l.present(c) {
			l.t.Errorf("half %d: not present", i)
		}
		l.apply(c, c.Undo)
		id = l.docker("ps", "-q", "--no-trunc", "--filter", "name=^/"+name+"$")
		if id == "" || !l.running(id) || l.present(c) || l.try("ps", "-aq", "--filter", "name=simulacro-replaces") != "" {
			l.t.Fatalf("half %d: %s", i, l.try("ps", "-a", "--filter", "label=com.docker.compose.project="+l.project))
		}
		if e := l.apply(c, c.Undo); e.Skipped == "" {
			l.t.Errorf("half %d: a second undo did something", i)
		}
	}
}

// twin makes what a recreation has made before it touches the old one.
func (l *lab) twin(m drills.Member) string {
	l.t.Helper()
	return l.docker("create", "--name", "simulacro-replaces-"+m.ID[:12]+"-"+l.project+"_db_1",
		"--label", "com.docker.compose.project="+l.project, "--label", "com.docker.compose.service=db", "--label", "com.docker.compose.container-number=1",
		"--label", "com.docker.compose.oneoff=False", image(), "serve")
}

func TestRollingRestartWaitsForHealth(t *testing.T) {
	l := newLab(t, false)
	a, b := l.member("a", []string{"serve"}), l.member("b", []string{"serve"})
	c := l.plan("rolling-restart", with{"grace": "1s"}, a, b)
	l.do(c)
	if !l.running(a.ID) || l.now(a.ID).StartedAt.Equal(a.StartedAt) || !l.now(b.ID).StartedAt.Equal(b.StartedAt) {
		t.Error("the first change is a restart of the first member, and of no other")
	}
	sick := l.member("sick", []string{"serve"}, "--health-cmd", "/agent unknown", "--health-interval", "1s", "--health-retries", "1")
	c = l.plan("rolling-restart", with{"grace": "1s", "within": "3s"}, sick)
	if _, err := l.unit.Apply(t.Context(), c.Do); err == nil || !strings.Contains(err.Error(), "not healthy") {
		t.Errorf("a member that does not get healthy: %v", err)
	}
}

func TestLimits(t *testing.T) {
	l := newLab(t, false)
	m := l.member("api", []string{"serve"}, "--memory", "128m", "--cpus", "1")
	free := l.member("free", []string{"serve"})
	for _, x := range []struct {
		kind             string
		with             with
		m                drills.Member
		controller, file string
		low, back        string
	}{
		{"memory-limit", with{"share": "50%"}, m, "memory", "memory.limit_in_bytes", "67108864", "134217728"},
		{"cpu-limit", with{"share": "50%"}, m, "cpu", "cpu.cfs_quota_us", "50000", "100000"},
		{"cpu-limit", with{"to": "0.2"}, free, "cpu", "cpu.cfs_quota_us", "20000", "-1"},
		{"processes", with{"to": 30}, free, "pids", "pids.max", "30", "max"},
	} {
		t.Run(x.kind+x.low, func(t *testing.T) {
			c := l.plan(x.kind, x.with, l.now(x.m.ID))
			file := func(want string) {
				t.Helper()
				if got := l.groupFile(x.m.ID, x.controller, x.file); got != want {
					t.Errorf("%s is %s, want %s", x.file, got, want)
				}
			}
			c.Do.ID += x.kind + x.low
			drilltest.Actuator(t, drilltest.ActuatorCase{Name: x.kind, Change: c, Actuator: l.unit})
			file(x.back)
			c = l.plan(x.kind, x.with, l.now(x.m.ID))
			c.Do.ID += x.kind + x.low + "again"
			l.do(c)
			file(x.low)
			l.apply(c, c.Undo)
			file(x.back)
			c = l.plan(x.kind, x.with, l.now(x.m.ID))
			l.killed(l.held(c), "the limit is back", func() bool { return l.groupFile(x.m.ID, x.controller, x.file) == x.back })
			file(x.back)
		})
	}
	c := l.plan("memory-limit", with{"share": "50%"}, l.now(m.ID))
	c.Do.ID = "other"
	l.do(c)
	l.docker("update", "--memory", "100m", "--memory-swap", "200m", m.ID)
	if e := l.apply(c, c.Undo); e.Skipped == "" || l.groupFile(m.ID, "memory", "memory.limit_in_bytes") != "104857600" {
		t.Error("the undo overwrote what somebody else had set")
	}
}

func TestNoRoomForProcesses(t *testing.T) {
	l := newLab(t, false)
	m := l.member("api", []string{"serve"})
	c := l.plan("processes", with{"left": 0}, m)
	l.do(c)
	if out := l.try("exec", m.ID, "/agent", "worker"); !strings.Contains(out, "resource") && !strings.Contains(out, "temporarily unavailable") && !strings.Contains(out, "failed") {
		t.Errorf("a process could be started: %s", out)
	}
	l.apply(c, c.Undo)
}

// softLimit reads a process's soft limit of open files.
func softLimit(t *testing.T, pid string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + pid + "/limits")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "Max open files")
	return strings.Fields(rest)[0]
}

func TestFileDescriptors(t *testing.T) {
	l := newLab(t, false)
	m := l.member("api", []string{"serve"}, "--ulimit", "nofile=1000:2000", "--user", "1234")
	l.eventually("its limit is its own", 10*time.Second, func() bool { return softLimit(t, l.pid(m.ID)) != "1000" }) // Go raises it at the start
	m = l.now(m.ID)
	if m.Limits["nofile-soft"] < 1000 || m.Limits["open-files"] < 3 {
		t.Fatalf("limits %v", m.Limits)
	}
	pid, was := l.pid(m.ID), softLimit(t, l.pid(m.ID))
	c := l.plan("file-descriptors", with{"to": 61}, m)
	drilltest.Actuator(t, drilltest.ActuatorCase{Name: "nofile", Change: c, Actuator: l.unit})
	c.Do.ID = "again"
	l.do(c)
	if got := softLimit(t, pid); got != "61" {
		t.Errorf("the soft limit is %s", got)
	}
	l.apply(c, c.Undo)
	if got := softLimit(t, pid); got != was {
		t.Errorf("after the undo: %s, want %s", got, was)
	}
	l.killed(l.held(l.plan("file-descriptors", with{"left": 2}, l.now(m.ID))), "the limit is back", func() bool { return softLimit(t, pid) == was })
	l.clean(m.ID)
}

// TestChildrenThatInheritedTheLimitAreRaised: Go raises its own limit at the start, so a worker is given what a child in C
// would have inherited.
func TestChildrenThatInheritedTheLimitAreRaised(t *testing.T) {
	l := newLab(t, false)
	m := l.member("api", []string{"serve", "1"}, "--ulimit", "nofile=1000:2000")
	l.eventually("a worker", 10*time.Second, func() bool { return len(l.workers(m.ID)) == 1 })
	c := l.plan("file-descriptors", with{"to": 61}, l.now(m.ID))
	l.do(c)
	child := l.workers(m.ID)[0]
	if err := unix.Prlimit(atoi(child), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 61, Max: 2000}, nil); err != nil {
		t.Fatal(err)
	}
	l.apply(c, c.Undo)
	if main, worker := softLimit(t, l.pid(m.ID)), softLimit(t, child); main == "61" || worker != main {
		t.Errorf("after the undo: %s and the child %s", main, worker)
	}
}

func atoi(s string) int { n, _ := strconv.Atoi(s); return n }

func TestOutOfMemory(t *testing.T) {
	l := newLab(t, false)
	m := l.member("api", []string{"serve", "0", "40"}, "--memory", "128m", "--memory-swap", "128m", "--restart", "unless-stopped")
	c := l.plan("out-of-memory", with{}, m)
	l.do(c)
	l.eventually("its policy started it again", 30*time.Second, func() bool { return l.running(m.ID) && l.restarts(m.ID) >= 1 })
	if e := l.apply(c, c.Undo); e.Skipped == "" {
		t.Error("the fallback did something")
	}
	l.clean(m.ID)
}
