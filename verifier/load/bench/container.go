package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// container is a throw-away server from an image of the reference system, on the host's network: no bridge is measured. It
// ends by itself, so that a bench that was killed leaves nothing behind for long.
type container struct {
	name string
	port int
	root string // its file system, as the host sees it
}

const (
	serverLife  = 10 * time.Minute
	serverStart = 2 * time.Minute
	// serverEnd also bounds what is undone after an interrupt.
	serverEnd = 20 * time.Second
)

// container starts a server. script is run by bash inside, with $PORT set; ready is a command in it that succeeds once the
// server answers.
func (e env) container(ctx context.Context, image, user, script string, ready ...string) (*container, error) {
	if exec.CommandContext(ctx, "docker", "image", "inspect", image).Run() != nil {
		return nil, missing("run make images (it needs Docker and the image " + image + ")")
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	c := &container{name: fmt.Sprintf("simulacro-bench-%d-%d", os.Getpid(), port), port: port}
	_, err = docker(ctx, "run", "--rm", "--detach", "--name", c.name, "--label", "io.simulacro.bench=true", "--network", "host", "--user", user,
		"--env", "PORT="+strconv.Itoa(port), "--entrypoint", "timeout", image, strconv.Itoa(int(serverLife.Seconds())), "bash", "-c", script)
	if err != nil {
		return nil, errors.Join(err, c.remove(ctx))
	}
	for until := time.Now().Add(serverStart); ; {
		_, err = c.exec(ctx, ready...)
		if err == nil {
			break
		}
		if time.Now().After(until) || rest(ctx, 200*time.Millisecond) != nil {
			said, _ := docker(ctx, "logs", "--tail", "5", c.name)
			return nil, errors.Join(fmt.Errorf("%s did not start: %w; it said: %s", image, err, said), c.remove(ctx))
		}
	}
	pid, err := docker(ctx, "inspect", "--format", "{{.State.Pid}}", c.name)
	c.root = "/proc/" + pid + "/root"
	if err != nil {
		return nil, errors.Join(err, c.remove(ctx))
	}
	return c, nil
}

// remove ends it, whatever became of ctx.
func (c *container) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), serverEnd)
	defer cancel()
	_, err := docker(ctx, "rm", "--force", "--volumes", c.name)
	if err != nil && strings.Contains(err.Error(), "No such container") {
		return nil
	}
	return err
}

func (c *container) exec(ctx context.Context, args ...string) (string, error) {
	return docker(ctx, append([]string{"exec", "--env", "PORT=" + strconv.Itoa(c.port), c.name}, args...)...)
}

// tool runs a program of the container's file system as a process of the host, so that what it uses can be told.
func (c *container) tool(ctx context.Context, args ...string) (string, usage, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Path, cmd.Err, cmd.Dir, cmd.Env = args[0], nil, "/", []string{"PATH=/usr/bin:/bin", "HOME=/tmp", "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.root}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), usage{}, fmt.Errorf("%s: %w: %.300s", args[0], err, errs.String())
	}
	return out.String(), used(cmd), nil
}

func docker(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("docker %s: %w: %.300s", args[0], err, text)
	}
	return text, nil
}

// freePort is one that nobody listens on now.
func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close() //nolint:errcheck // it was never used
	return l.Addr().(*net.TCPAddr).Port, nil
}
