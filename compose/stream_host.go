package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"go.uber.org/zap"
)

// hostProcess is a process of ours beside the orchestrator, leader of its own process group so that a Ctrl-C at the
// terminal reaches the orchestrator alone.
type hostProcess struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// startProcess runs the binary as a plain process. It sees the end of its stdin when the orchestrator is gone, however
// that happened.
func startProcess(path string, argv []string, log *zap.Logger) (*stream, error) {
	cmd := exec.Command(path, argv...)
	cmd.Args[0] = agentPath
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	errs := newLogWriter(log)
	cmd.Stderr = errs
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// Not StdoutPipe: Wait would close it before the last frames are read.
	out, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = w
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		_ = out.Close()
		return nil, fmt.Errorf("start %v: %w", argv, err)
	}
	h := &hostProcess{cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		_ = cmd.Wait() // how it ended shows in its frames
		errs.flush()
	}()
	return newStream(pipe{in: in, out: out, hangUp: in.Close, drop: out.Close}, h), nil
}

func (h *hostProcess) wait(ctx context.Context) error {
	select {
	case <-h.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// kill ends the whole process group; a group that is gone is fine.
func (h *hostProcess) kill(ctx context.Context) error {
	select {
	case <-h.ended:
		return nil
	default:
	}
	if err := syscall.Kill(-h.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill process %d: %w", h.cmd.Process.Pid, err)
	}
	return h.wait(ctx)
}
