package compose

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

// cleanupLimit bounds the removal of a container that could not be used.
const cleanupLimit = 30 * time.Second

// launcher starts processes on behalf of one run.
type launcher struct {
	e   *Engine
	run RunLabels
}

// Launcher starts this binary in places; all containers carry the run's labels. The streams renew the processes' leases
// by themselves.
func (e *Engine) Launcher(run RunLabels) drills.Launcher {
	return &launcher{e: e, run: run.withDefaults(e.project)}
}

// Start runs the binary with argv in the place. A place that cannot be had is a drills.Error with code Blocked.
func (l *launcher) Start(ctx context.Context, p drills.Place, argv []string) (drills.Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if p.Kind == drills.PlaceHost {
		return startProcess(l.e.binary.path, argv, l.e.log.Named(nameOf(p)))
	}
	switch {
	case p.Kind == drills.PlaceSandbox:
		return l.startSandbox(ctx, p, argv)
	case p.Kind == drills.PlaceCgroup && !l.e.canNest():
		return l.e.startInside(ctx, p, argv, l.run)
	}
	host, role, err := l.e.hostConfig(ctx, p)
	if err != nil {
		return nil, err
	}
	name := containerName(l.run.Run, p)
	c := launch{
		name: name, argv: argv, host: host, labels: l.run.labels(role, time.Now()), user: userOf(p, l.e.socket), log: l.e.log.Named(nameOf(p)),
		grace: p.Grace.D(),
	}
	if p.Kind == drills.PlaceCgroup {
		c.env = []string{drills.TargetRootVariable + "=" + targetRoot}
	}
	return l.e.startContainer(ctx, c)
}

// HostLauncher starts processes beside the orchestrator only, and needs no engine. An empty Binary is this executable.
type HostLauncher struct {
	Binary string
	Log    *zap.Logger
}

// Start runs the binary with argv. Any place but the host is refused.
func (l HostLauncher) Start(ctx context.Context, p drills.Place, argv []string) (drills.Stream, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if p.Kind != drills.PlaceHost {
		return nil, drills.Errorf(drills.Blocked, "", "there is no engine here to start something in %s", p.Kind)
	}
	return startProcess(newBinary(l.Binary).path, argv, l.Log.Named(nameOf(p)))
}

// launch is one container to start.
type launch struct {
	name   string
	argv   []string
	env    []string
	host   *container.HostConfig
	labels map[string]string
	user   string
	log    *zap.Logger
	grace  time.Duration // to undo itself in; zero: removeGrace
	image  string        // a foreign image, which our binary is put into; empty: our own
}

// startContainer creates, attaches and starts, in that order, so that nothing that the process says is lost.
func (e *Engine) startContainer(ctx context.Context, l launch) (*stream, error) {
	id, err := e.create(ctx, l)
	if err != nil {
		return nil, err
	}
	s, err := e.attachAndStart(ctx, id, l)
	if err != nil && l.host.Ulimits != nil && isUlimitError(err) && e.lowerNofile() {
		e.discard(ctx, id)
		l.host.Ulimits = e.ulimits(l.host.Ulimits)
		return e.startContainer(ctx, l)
	}
	if err != nil {
		e.discard(ctx, id)
		return nil, explainStart(err, l)
	}
	return s, nil
}

// stopTimeout is in whole seconds, as the engine has it.
func (l launch) stopTimeout() *int {
	secs := int(max(l.grace, removeGrace).Round(time.Second) / time.Second)
	return &secs
}

// create makes the container; an image that somebody removed meanwhile is loaded again once.
func (e *Engine) create(ctx context.Context, l launch) (string, error) {
	if l.image != "" {
		return e.createForeign(ctx, l)
	}
	for again := true; ; again = false {
		image, err := e.ensureImage(ctx)
		if err != nil {
			return "", err
		}
		c, err := e.api.ContainerCreate(ctx, &container.Config{
			Image: image, Cmd: l.argv, Env: l.env, Labels: l.labels, User: l.user,
			OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
			StopTimeout: l.stopTimeout(),
		}, l.host, nil, nil, l.name)
		if err == nil {
			return c.ID, nil
		}
		if !again || !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), imageRepo) {
			return "", fmt.Errorf("create %s: %w", l.name, err)
		}
		e.forgetImage()
	}
}

func (e *Engine) attachAndStart(ctx context.Context, id string, l launch) (*stream, error) {
	// ctx bounds the dialling only: the attached connection lives as long as the stream.
	att, err := e.api.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	if err := e.api.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		att.Close()
		return nil, err
	}
	return newStream(containerPipe(att, l.log), &containerProcess{api: e.api, id: id, keep: !l.host.AutoRemove}), nil
}

// discard removes a container of ours that did not come up, whatever became of ctx.
func (e *Engine) discard(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
	defer cancel()
	if err := e.removeContainer(ctx, id); err != nil {
		e.log.Warn("container of ours stays behind", zap.String("id", id), zap.Error(err))
	}
}

// explainStart says what to do about the engine's refusals that a person can do something about.
func explainStart(err error, l launch) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "cannot join network of a non running container"):
		return drills.Wrap(drills.Blocked, err, "cannot start "+l.name+": its target is not running", "a fault inside a member's network needs the member to be up")
	case strings.Contains(text, "all predefined address pools"), strings.Contains(text, "no available IPv4 addresses"):
		return drills.Wrap(drills.Blocked, err, "cannot start "+l.name+": the network has no free address", "remove unused containers and networks, or use a bigger subnet")
	}
	return fmt.Errorf("start %s: %w", l.name, err)
}

// containerName is unique and says to whom the container belongs.
func containerName(run string, p drills.Place) string {
	run, what := safeName(run), safeName(nameOf(p))
	return "simulacro-" + run[:min(len(run), 60)] + "-" + what[:min(len(what), 40)] + "-" + randomHex()
}

func nameOf(p drills.Place) string {
	if p.Name != "" {
		return p.Name
	}
	return string(p.Kind)
}

// safeName keeps what Docker allows in names.
func safeName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, s)
}

func randomHex() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand aborts the program instead
	return hex.EncodeToString(b[:])
}
