package compose

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/eevans-d/simulacro/drills"
)

// requireVar makes the Docker tests fail instead of skip, so that a suite that ran nothing cannot look green.
const requireVar = "SIMULACRO_REQUIRE_DOCKER"

// forbidVar leaves the Docker tests out.
const forbidVar = "SIMULACRO_NO_DOCKER"

// builtDir is where the test agent was built; empty while it was not. Test state, removed by TestMain.
var builtDir atomic.Value

// agentBinary builds the static test agent once per test process.
var agentBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "testagent")
	if err != nil {
		return "", err
	}
	builtDir.Store(dir)
	path := filepath.Join(dir, "testagent")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./internal/testagent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return path, cmd.Run()
})

// TestMain removes what agentBinary made.
func TestMain(m *testing.M) {
	code := m.Run()
	if dir, ok := builtDir.Load().(string); ok {
		forgetAgent(filepath.Join(dir, "testagent"))
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// forgetAgent removes the image made from the test agent, unless another test process uses it.
func forgetAgent(path string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e, err := Open(ctx, Options{Binary: path})
	if err != nil {
		return
	}
	defer e.Close()
	if d, err := e.binary.measure(); err == nil {
		_, _ = e.api.ImageRemove(ctx, imageRef(d), image.RemoveOptions{})
	}
}

func dockerHere() error {
	path, err := socketPath("")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return reach(ctx, path)
}

// lab is a Compose project of its own on the local engine, without Compose: labels are set by hand. Everything in it is
// removed at the end of the test.
type lab struct {
	t       *testing.T
	e       *Engine
	project string
	binary  string
	logs    *observer.ObservedLogs
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if testing.Short() || os.Getenv(forbidVar) != "" {
		t.Skipf("needs Docker; not run with -short or %s", forbidVar)
	}
	if err := dockerHere(); err != nil {
		if os.Getenv(requireVar) != "" {
			t.Fatalf("%s is set and there is no engine: %v", requireVar, err)
		}
		t.Skipf("no Docker engine: %v", err)
	}
	t.Parallel()
	binary, err := agentBinary()
	if err != nil {
		t.Fatalf("build test agent: %v", err)
	}
	core, logs := observer.New(zap.DebugLevel)
	l := &lab{t: t, project: "simtest" + randomHex(), binary: binary, logs: logs}
	l.e, err = Open(t.Context(), Options{Project: l.project, Binary: binary, Log: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.remove)
	_, err = l.e.api.NetworkCreate(t.Context(), l.project+"_net", network.CreateOptions{
		Driver: "bridge", Labels: map[string]string{labelProject: l.project, labelNetwork: "net"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// ctx bounds one test's dealings with the engine.
func (l *lab) ctx() context.Context {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 2*time.Minute)
	l.t.Cleanup(cancel)
	return ctx
}

// with changes a member before it is created.
type with func(*container.Config, *container.HostConfig, *network.EndpointSettings)

func policy(name container.RestartPolicyMode) with {
	return func(_ *container.Config, h *container.HostConfig, _ *network.EndpointSettings) {
		h.RestartPolicy = container.RestartPolicy{Name: name}
	}
}

func label(k, v string) with {
	return func(c *container.Config, _ *container.HostConfig, _ *network.EndpointSettings) { c.Labels[k] = v }
}

// member starts a container of a service and returns its id.
func (l *lab) member(service string, number int, argv []string, opts ...with) string {
	l.t.Helper()
	ctx := l.ctx()
	ref, err := l.e.ensureImage(ctx)
	if err != nil {
		l.t.Fatal(err)
	}
	n := strconv.Itoa(number)
	c := &container.Config{Image: ref, Cmd: argv, Labels: map[string]string{labelProject: l.project, labelService: service, labelNumber: n, labelOneOff: "False"}}
	h := &container.HostConfig{NetworkMode: container.NetworkMode(l.project + "_net")}
	ep := &network.EndpointSettings{Aliases: []string{service}}
	for _, o := range opts {
		o(c, h, ep)
	}
	r, err := l.e.api.ContainerCreate(ctx, c, h, &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{l.project + "_net": ep}}, nil, l.project+"_"+service+"_"+n)
	if err == nil {
		err = l.e.api.ContainerStart(ctx, r.ID, container.StartOptions{})
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return r.ID
}

// state inspects a container.
func (l *lab) state(id string) *container.State {
	l.t.Helper()
	c, err := l.e.api.ContainerInspect(context.WithoutCancel(l.t.Context()), id)
	if err != nil {
		l.t.Fatal(err)
	}
	return c.State
}

// eventually polls until ok or the limit; it returns how long it took.
func (l *lab) eventually(what string, limit time.Duration, ok func() bool) time.Duration {
	l.t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > limit {
			l.t.Fatalf("%s: not within %v", what, limit)
		}
		<-time.After(20 * time.Millisecond)
	}
	return time.Since(begin)
}

// op makes an op with a fresh id.
func op(t *testing.T, verb, target string, args any) drills.Op {
	t.Helper()
	o, err := drills.NewOp(verb, target, args)
	if err != nil {
		t.Fatal(err)
	}
	o.ID = randomHex()
	return o
}

// change plans a unit fault as the faults do: a do and a conditional undo.
func (l *lab) change(do, undo, target string) drills.Change {
	l.t.Helper()
	started := parseTime(l.state(target).StartedAt)
	id := randomHex()
	c := drills.Change{ID: id, Class: drills.ClassUndo, Do: op(l.t, do, target, nil), Undo: op(l.t, undo, target, UnitArgs{StartedAt: started})}
	return c
}

// orchestrator starts another process that takes the guard and makes the changes; it returns once they hold.
func (l *lab) orchestrator(run string, changes ...drills.Change) (*exec.Cmd, *lines) {
	l.t.Helper()
	args := []string{"orchestrate", l.project, run}
	for _, c := range changes {
		b, err := json.Marshal(c)
		if err != nil {
			l.t.Fatal(err)
		}
		args = append(args, string(b))
	}
	cmd := exec.Command(l.binary, args...)
	cmd.Stderr = l.t.Output()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	in := readLines(out)
	if got := in.next(l.t, 60*time.Second); got != "held" {
		l.t.Fatalf("orchestrator said %q", got)
	}
	return cmd, in
}

// remove takes the whole project away, however the test ended.
func (l *lab) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, f := range []string{labelProject + "=" + l.project, LabelSystem + "=" + l.project} {
		list, err := l.e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", f))})
		if err != nil {
			l.t.Errorf("clean up: %v", err)
		}
		for _, c := range list {
			if err := l.e.removeContainer(ctx, c.ID); err != nil {
				l.t.Errorf("clean up: %v", err)
			}
		}
	}
	_ = l.e.api.NetworkRemove(ctx, l.project+"_net")
	_ = l.e.Close()
}
