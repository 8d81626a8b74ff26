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
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
	"go.uber.org/zap"
)

// writeLimit bounds one write to an attached container: a stuck engine must not block the orchestrator.
const writeLimit = 5 * time.Second

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

// containerProcess is a container of ours.
type containerProcess struct {
	api  *client.Client
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
	}
}

// kill removes the container, by force if it still runs; one that is to be kept is only made to end.
func (c *containerProcess) kill(ctx context.Context) error {
	var err error
	if c.keep {
		err = c.api.ContainerKill(ctx, c.id, "KILL")
	} else {
		err = c.api.ContainerRemove(ctx, c.id, container.RemoveOptions{Force: true})
	}
	if err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	if errdefs.IsConflict(err) { // not running (kill), or its own removal is in progress (remove)
		return nil
	}
	return fmt.Errorf("remove container %.12s: %w", c.id, err)
}
