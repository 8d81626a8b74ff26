package compose

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/docker/docker/client"

	"github.com/eevans-d/simulacro/drills"
)

// socketPath resolves the engine's address to a unix socket: host, else DOCKER_HOST, else the default. Anything but a
// unix socket is refused.
func socketPath(host string) (string, error) {
	if host == "" {
		host = os.Getenv(client.EnvOverrideHost)
	}
	if host == "" {
		host = client.DefaultDockerHost
	}
	path, ok := strings.CutPrefix(host, "unix://")
	if !ok || path == "" {
		return "", drills.Errorf(drills.Blocked,
			"run simulacro on the engine's own host and use unix:///path/to/docker.sock; the guard mounts that socket and clocks are compared on one kernel",
			"engine %q is not a local unix socket: remote engines are not supported yet", host)
	}
	return path, nil
}

// reach connects to the socket once, to tell a person exactly why it cannot be used.
func reach(ctx context.Context, path string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		return c.Close()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return drills.Wrap(drills.Blocked, err, "there is no Docker engine at "+path, "install and start Docker, or set runtime.docker.host or DOCKER_HOST to its socket")
	case errors.Is(err, fs.ErrPermission):
		return drills.Wrap(drills.Blocked, err, "no permission to use the Docker engine at "+path, "run as a user of the socket's group (usually docker), then log in again")
	case errors.Is(err, syscall.ECONNREFUSED):
		return drills.Wrap(drills.Blocked, err, "the Docker engine at "+path+" does not answer", "start it: systemctl start docker")
	}
	return drills.Wrap(drills.Blocked, err, "cannot reach the Docker engine at "+path, "see whether `docker version` works for this user")
}
