package verifier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// commandCheck runs a command without a shell: exit 0 is good. Its whole process group is killed at the timeout.
type commandCheck struct {
	argv []string
}

func newCommandCheck(s drills.ProbeSpec) (*commandCheck, error) {
	if len(s.Command) == 0 {
		return nil, errors.New("command: no command given")
	}
	return &commandCheck{argv: s.Command}, nil
}

func (c *commandCheck) check(ctx context.Context, _ int64) result {
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 100 * time.Millisecond
	out := &tail{limit: 4096}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return good()
	case ctx.Err() != nil:
		return result{Timeout, "the command did not end in time"}
	case errors.As(err, &exit):
		return result{Failed, clip(fmt.Sprintf("exit %d: %s", exit.ExitCode(), out.last()))}
	}
	return result{Observer, brief(err)} // it could not even be started
}

// tail keeps the end of what is written to it.
type tail struct {
	limit int
	b     []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if len(t.b) > t.limit {
		t.b = append(t.b[:0], t.b[len(t.b)-t.limit:]...)
	}
	return len(p), nil
}

func (t *tail) last() string {
	lines := bytes.Split(bytes.TrimSpace(t.b), []byte("\n"))
	return string(lines[len(lines)-1])
}
