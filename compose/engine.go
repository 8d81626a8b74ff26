package compose

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

// openTimeout bounds the questions asked of an engine when it is opened.
const openTimeout = 20 * time.Second

// Options say which engine and which Compose project.
type Options struct {
	Host    string      // unix:///path; empty: DOCKER_HOST or the default socket
	Project string      // Compose project of the system
	Log     *zap.Logger // nil: no logging
	Binary  string      // static simulacro binary that is started in places; empty: this executable
	// Inside starts what must be in a target's control group inside the target even where a container of ours could be put
	// beside it, as on hosts with cgroup version 2.
	Inside bool
}

// Engine is one Docker engine and one Compose project on it. Safe for concurrent use.
type Engine struct {
	api     *client.Client
	socket  string
	project string
	log     *zap.Logger
	binary  binary
	info    system.Info
	clock   engineClock
	image   imageCache
	nofile  nofileCache
	inside  bool
}

// Open connects to the engine and negotiates the API version. An engine that cannot be used is a drills.Error with code
// Blocked that says what to do.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	path, err := socketPath(o.Host)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, openTimeout, fmt.Errorf("the Docker engine did not answer within %v", openTimeout))
	defer cancel()
	if err := reach(ctx, path); err != nil {
		return nil, err
	}
	api, err := client.NewClientWithOpts(client.WithHost("unix://"+path), client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, drills.Wrap(drills.Blocked, err, "cannot make a Docker client", "")
	}
	info, err := greet(ctx, api)
	if err != nil {
		_ = api.Close()
		return nil, err
	}
	e := &Engine{api: api, socket: path, project: o.Project, log: o.Log.Named("compose"), binary: newBinary(o.Binary), info: info, inside: o.Inside}
	return e, nil
}

// greet negotiates and refuses engines that cannot run our containers.
func greet(ctx context.Context, api *client.Client) (system.Info, error) {
	ping, err := api.Ping(ctx)
	if err != nil {
		return system.Info{}, drills.Wrap(drills.Blocked, err, "the Docker engine does not answer", "see whether `docker version` works for this user")
	}
	api.NegotiateAPIVersionPing(ping)
	info, err := api.Info(ctx)
	if err != nil {
		return info, drills.Wrap(drills.Blocked, err, "the Docker engine does not say what it is", "see whether `docker info` works for this user")
	}
	if info.OSType != "linux" {
		return info, drills.Errorf(drills.Blocked, "use a Linux engine", "the Docker engine runs %s containers", info.OSType)
	}
	if a := goArch(info.Architecture); a != runtime.GOARCH {
		return info, drills.Errorf(drills.Blocked, "use the simulacro build for "+a, "the Docker engine runs on %s, this simulacro is built for %s", a, runtime.GOARCH)
	}
	return info, nil
}

// goArch maps the kernel's machine names to Go's.
func goArch(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return machine
}

// Project is the Compose project.
func (e *Engine) Project() string { return e.project }

// ID is the engine's own id, as pinned by engine-id in system files.
func (e *Engine) ID() string { return e.info.ID }

// Close drops the engine's connections. What runs in places goes on until its stream is closed.
func (e *Engine) Close() error { return e.api.Close() }

// nofileCache remembers the highest open-files limit that the engine lets us give.
type nofileCache struct {
	mu    sync.Mutex
	tried bool
	limit int64
}
