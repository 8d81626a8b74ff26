package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// saidLimit is how much of a command's last words are kept.
const saidLimit = 300

// exec runs a command inside a member. The engine cannot end one that goes on: at the end of ctx it is left to itself.
func (e *Engine) exec(ctx context.Context, target string, argv, env []string) (int, string, error) {
	x, err := e.api.ContainerExecCreate(ctx, target, container.ExecOptions{Cmd: argv, Env: env, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return 0, "", err
	}
	att, err := e.api.ContainerExecAttach(ctx, x.ID, container.ExecAttachOptions{})
	if err != nil {
		return 0, "", err
	}
	defer att.Close()
	stop := context.AfterFunc(ctx, att.Close)
	defer stop()
	said := &lastWords{}
	if _, err := stdcopy.StdCopy(said, said, att.Reader); err != nil && ctx.Err() == nil {
		return 0, said.String(), fmt.Errorf("read what it says: %w", err)
	}
	if ctx.Err() != nil {
		return 0, said.String(), fmt.Errorf("it was left running inside the member: %w", context.Cause(ctx))
	}
	r, err := e.api.ContainerExecInspect(ctx, x.ID)
	if err == nil && r.Running {
		err = errors.New("it closed its output and goes on")
	}
	return r.ExitCode, said.String(), err
}

// runHere runs a command beside the orchestrator; its whole process group is killed at the end of ctx.
func runHere(ctx context.Context, _ string, argv, env []string) (int, string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	said := &lastWords{}
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, said.String(), context.Cause(ctx)
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode(), said.String(), nil
	}
	return 0, said.String(), err
}

// lastWords keeps the end of what is written to it.
type lastWords struct{ b []byte }

var _ io.Writer = (*lastWords)(nil)

func (w *lastWords) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	if n := len(w.b) - saidLimit; n > 0 {
		w.b = append(w.b[:0], w.b[n:]...)
	}
	return len(p), nil
}

func (w *lastWords) String() string { return strings.ToValidUTF8(strings.TrimSpace(string(w.b)), "?") }
