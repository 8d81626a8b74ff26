package faultlab

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/compose"
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments"
)

// agentDir is where the agent was built. Test state, removed by TestMain.
var agentDir string

// agent builds the static agent, and an image of it, once per test process.
var agent = sync.OnceValues(func() (string, error) {
	var err error
	if agentDir, err = os.MkdirTemp("", "faultlab"); err != nil {
		return "", err
	}
	path := filepath.Join(agentDir, "agent")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./agent")
	build.Env, build.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
	if err := build.Run(); err != nil {
		return "", err
	}
	_ = os.Mkdir(filepath.Join(agentDir, "tmp"), 0o777)
	script := `tar -C "$0" -c agent tmp | docker import -c 'ENTRYPOINT ["/agent"]' - "$1" >/dev/null`
	return path, exec.Command("sh", "-c", script, agentDir, image()).Run()
})

func image() string { return "faultlab-" + strings.ToLower(filepath.Base(agentDir)) + ":test" }

func TestMain(m *testing.M) {
	code := m.Run()
	if agentDir != "" {
		_ = exec.Command("docker", "rmi", "-f", image()).Run()
		_ = os.RemoveAll(agentDir)
	}
	os.Exit(code)
}

// lab is a Compose project of its own. Everything in it is removed at the end of the test.
type lab struct {
	t         *testing.T
	e         *compose.Engine
	project   string
	binary    string
	inside    bool
	run       compose.RunLabels
	unit      drills.Actuator
	resources *experiments.Resources
	wal       drills.Actuator
	system    *drills.System // what faults plan against; nil: an empty one
	ends      chan string
}

func newLab(t *testing.T, inside bool) *lab {
	t.Helper()
	if testing.Short() || os.Getenv("SIMULACRO_NO_DOCKER") != "" {
		t.Skip("needs Docker")
	}
	if err := exec.Command("docker", "version").Run(); err != nil {
		if os.Getenv("SIMULACRO_REQUIRE_DOCKER") != "" {
			t.Fatalf("there is no engine: %v", err)
		}
		t.Skipf("no Docker engine: %v", err)
	}
	binary, err := agent()
	if err != nil {
		t.Fatalf("build the agent: %v", err)
	}
	var b [4]byte
	_, _ = rand.Read(b[:])
	l := &lab{t: t, project: "faultlab" + hex.EncodeToString(b[:]), binary: binary, inside: inside, ends: make(chan string, 10)}
	l.run = compose.RunLabels{Run: "run-" + l.project}
	if l.e, err = compose.Open(t.Context(), compose.Options{Project: l.project, Binary: binary, Inside: inside}); err != nil {
		t.Fatal(err)
	}
	l.unit = l.e.WatchedUnits(l.run, func(_, why string) { l.ends <- why })
	l.resources = experiments.NewResources(l.e.Launcher(l.run), nil, func(_, why string) { l.ends <- why })
	l.wal = experiments.NewWAL(l.resources, l.unit, l.e.DialContext, nil)
	t.Cleanup(l.remove)
	return l
}

func (l *lab) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = l.resources.Close(ctx)
	for _, label := range []string{"com.docker.compose.project=" + l.project, "io.simulacro.system=" + l.project} {
		if ids := strings.Fields(l.try("ps", "-aq", "--filter", "label="+label)); len(ids) > 0 {
			l.try(append([]string{"rm", "-f", "-v"}, ids...)...)
		}
	}
	_ = l.e.Close()
}

// try runs the engine's own command line, and does not mind if it fails.
func (l *lab) try(args ...string) string {
	out, _ := exec.Command("docker", args...).CombinedOutput()
	return strings.TrimSpace(string(out))
}

func (l *lab) docker(args ...string) string {
	l.t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("docker %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// member starts a container of a service; flags are docker run's.
func (l *lab) member(service string, command []string, flags ...string) drills.Member {
	l.t.Helper()
	return l.memberOf(image(), service, command, flags...)
}

// memberOf is a member of another image than the agent's.
func (l *lab) memberOf(image, service string, command []string, flags ...string) drills.Member {
	l.t.Helper()
	args := append([]string{
		"run", "-d", "--label", "com.docker.compose.project=" + l.project, "--label", "com.docker.compose.service=" + service,
		"--label", "com.docker.compose.container-number=1", "--label", "com.docker.compose.oneoff=False",
	}, flags...)
	id := l.docker(append(append(args, image), command...)...)
	return l.now(id)
}

// now is what the engine's inventory says of a container.
func (l *lab) now(id string) drills.Member {
	l.t.Helper()
	all, err := l.e.Members(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, m := range all {
		if m.ID == id {
			return m
		}
	}
	l.t.Fatalf("no member %s in %v", id, all)
	return drills.Member{}
}

// plan makes a fault's change for one member, as the engine does.
func (l *lab) plan(kind string, with any, m drills.Member, others ...drills.Member) drills.Change {
	l.t.Helper()
	raw, err := json.Marshal(with)
	if err != nil {
		l.t.Fatal(err)
	}
	f, err := experiments.All()[kind].New(func(into any) error { return json.Unmarshal(raw, into) })
	if err != nil {
		l.t.Fatal(err)
	}
	m.Component = "c"
	s := drills.Scene{Step: "step", Run: l.project, Targets: []drills.Member{m}, Duration: drills.Duration(time.Minute), System: &drills.System{}}
	if l.system != nil {
		s.System = l.system
	}
	s.Members = append([]drills.Member{m}, others...)
	s.Groups = map[string][]string{}
	for _, x := range s.Members {
		s.Groups["c"] = append(s.Groups["c"], x.ID)
	}
	if experiments.All()[kind].Info.Duration == "none" {
		s.Duration = 0
	}
	changes, err := f.Plan(s)
	if err != nil {
		l.t.Fatal(err)
	}
	c := changes[0]
	c.ID = "change-" + c.Member
	c.Do.ID, c.Undo.ID = c.ID+".do", c.ID+".undo"
	return c
}

func (l *lab) actuator(c drills.Change) drills.Actuator {
	switch c.Do.Prefix() {
	case "resource":
		return l.resources
	case "wal":
		return l.wal
	}
	return l.unit
}

// do applies a change and wants it proven.
func (l *lab) do(c drills.Change) drills.Effect {
	l.t.Helper()
	e := l.apply(c, c.Do)
	if !e.Proven {
		l.t.Fatalf("%s is not proven: %s", c.Do.Verb, e.Evidence)
	}
	return e
}

func (l *lab) apply(c drills.Change, op drills.Op) drills.Effect {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 2*time.Minute)
	defer cancel()
	before := time.Now()
	e, err := l.actuator(c).Apply(ctx, op)
	if err != nil {
		l.t.Fatalf("%s: %v", op.Verb, err)
	}
	if e.From.Before(before.Add(-time.Millisecond)) || e.To.After(time.Now()) || e.To.Before(e.From) {
		l.t.Errorf("%s: effect %v..%v is outside of the call", op.Verb, e.From, e.To)
	}
	l.t.Logf("%s %v %s proven %v %s %s", op.Verb, time.Since(before).Round(time.Millisecond), e.Source, e.Proven, e.Skipped, e.Evidence)
	return e
}

func (l *lab) present(c drills.Change) bool {
	l.t.Helper()
	there, err := l.actuator(c).Present(l.t.Context(), c.Do)
	if err != nil {
		l.t.Fatal(err)
	}
	return there
}

// held starts an orchestrator in another process, which has done the change when this returns.
func (l *lab) held(c drills.Change) *exec.Cmd {
	l.t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.Command(l.binary, "orchestrate", l.project, l.run.Run, string(raw))
	cmd.Stderr = l.t.Output()
	if l.inside {
		cmd.Env = append(os.Environ(), "FAULTLAB_INSIDE=1")
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		l.t.Fatalf("the orchestrator said %q", line)
	}
	return cmd
}

// killed kills the orchestrator and waits until what the fault did is gone, within the limit.
func (l *lab) killed(cmd *exec.Cmd, what string, gone func() bool) {
	l.t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		l.t.Fatal(err)
	}
	_ = cmd.Wait()
	l.t.Logf("%s %v after kill -9", what, l.eventually(what, 30*time.Second, gone))
	l.eventually("the guard has ended", 90*time.Second, func() bool {
		return l.try("ps", "-q", "--filter", "label=io.simulacro.system="+l.project) == ""
	})
	r, err := l.e.Collect(l.t.Context())
	if err != nil || r == nil || !r.Clean() {
		l.t.Errorf("the guard's report: %+v %v", r, err)
	}
}

func (l *lab) eventually(what string, limit time.Duration, ok func() bool) time.Duration {
	l.t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > limit {
			l.t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(begin)
}

// pid is a container's main process on this host.
func (l *lab) pid(id string) string {
	l.t.Helper()
	return l.docker("inspect", "-f", "{{.State.Pid}}", id)
}

// strangers lists the processes in a container's PID namespace that are not its own program, by reading /proc.
func (l *lab) strangers(id string) []string {
	l.t.Helper()
	home, err := os.Readlink("/proc/" + l.pid(id) + "/ns/pid")
	if err != nil {
		return nil // it is down
	}
	var out []string
	all, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	for _, p := range all {
		if ns, err := os.Readlink(p); err != nil || ns != home {
			continue
		}
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(p)), "cmdline"))
		if text := strings.ReplaceAll(string(line), "\x00", " "); strings.Contains(text, "_agent") {
			out = append(out, text)
		}
	}
	return out
}

// clean wants no process and no file of ours in or beside a container.
func (l *lab) clean(id string) {
	l.t.Helper()
	if s := l.strangers(id); len(s) > 0 {
		l.t.Errorf("processes left in the target: %q", s)
	}
	if d := l.docker("diff", id); strings.Contains(d, "simulacro") {
		l.t.Errorf("files left in the target: %s", d)
	}
	if ids := l.try("ps", "-aq", "--filter", "label=io.simulacro.run="+l.run.Run, "--filter", "label=io.simulacro.role=helper"); ids != "" {
		l.t.Errorf("helper containers left: %s", ids)
	}
}
