package compose

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"go.uber.org/zap"
)

// writeLimit bounds one write to an attached container: a stuck engine must not block the orchestrator.
const writeLimit = 5 * time.Second

// lookAgain is how often the end of a container is looked for beside the engine's own answer.
const lookAgain = 2 * time.Second

// containerPipe splits an attached connection: standard output is the pipe's out, standard error goes to the log.
func containerPipe(att types.HijackedResponse, log *zap.Logger) pipe {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		errs := newLogWriter(log)
		_, err := stdcopy.StdCopy(w, errs, att.Reader)
		errs.flush()
		_ = w.CloseWithError(err)
	}()
	return pipe{
		in: boundedConn{att.Conn}, out: r, hangUp: att.CloseWrite,
		drop: func() error {
			att.Close()
			_ = r.Close()
			<-done
			return nil
		},
	}
}

// boundedConn gives every write a deadline.
type boundedConn struct{ net.Conn }

// Write writes within writeLimit.
func (c boundedConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// logWriter logs whole lines.
type logWriter struct {
	log  *zap.Logger
	rest []byte
}

func newLogWriter(log *zap.Logger) *logWriter { return &logWriter{log: log} }

// Write logs the lines that are complete.
func (l *logWriter) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		n, line, _ := bufio.ScanLines(l.rest, false)
		if n == 0 {
			return len(p), nil
		}
		l.log.Warn(string(line))
		l.rest = l.rest[n:]
	}
}

// flush logs the rest.
func (l *logWriter) flush() {
	if len(l.rest) > 0 {
		l.log.Warn(string(l.rest))
		l.rest = nil
	}
}

// containerEnds is what of the engine's API the end of a container needs.
type containerEnds interface {
	ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error)
	ContainerWait(ctx context.Context, id string, until container.WaitCondition) (<-chan container.WaitResponse, <-chan error)
	ContainerKill(ctx context.Context, id, signal string) error
	ContainerRemove(ctx context.Context, id string, o container.RemoveOptions) error
}

// containerProcess is a container of ours.
type containerProcess struct {
	api  containerEnds
	id   string
	keep bool // leave it readable after its end
}

// containerID is the stream's container; empty for a plain process.
func (s *stream) containerID() string {
	if c, ok := s.proc.(*containerProcess); ok {
		return c.id
	}
	return ""
}

func (c *containerProcess) wait(ctx context.Context) error {
	until := container.WaitConditionRemoved
	if c.keep {
		until = container.WaitConditionNotRunning
	}
	answer, errs := c.api.ContainerWait(ctx, c.id, until)
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		select {
		case <-answer:
			return nil
		case err := <-errs:
			if errdefs.IsNotFound(err) {
				return nil
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		case <-look.C:
			if c.gone(ctx) {
				return nil
			}
		}
	}
}

// gone looks for itself: an engine's answer that a container was removed has been seen not to come (20.10), and a run would
// wait for it until its limit. One that has ended and that the engine has not removed yet is removed here.
func (c *containerProcess) gone(ctx context.Context) bool {
	now, err := c.api.ContainerInspect(ctx, c.id)
	if err != nil {
		return errdefs.IsNotFound(err)
	}
	if now.State.Running {
		return false
	}
	if c.keep {
		return true
	}
	err = c.api.ContainerRemove(ctx, c.id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	return err == nil || errdefs.IsNotFound(err)
}

// kill removes the container, by force if it still runs; one that is to be kept is only made to end.
func (c *containerProcess) kill(ctx context.Context) error {
	var err error
	if c.keep {
		err = c.api.ContainerKill(ctx, c.id, "KILL")
	} else {
		err = c.api.ContainerRemove(ctx, c.id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	}
	if err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	if errdefs.IsConflict(err) { // not running (kill), or its own removal is in progress (remove)
		return nil
	}
	return fmt.Errorf("remove container %.12s: %w", c.id, err)
}
