package compose

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"go.uber.org/zap"
)

// copyBinary puts this binary into a container's file system.
func (e *Engine) copyBinary(ctx context.Context, id, file string) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := e.binary.writeTo(w, path.Base(file))
		_ = w.CloseWithError(err)
		written <- err
	}()
	err := e.api.CopyToContainer(ctx, id, path.Dir(file), r, container.CopyToContainerOptions{})
	_ = r.Close()
	// The engine may stop reading at the end mark: a closed pipe is then no error.
	if werr := <-written; err == nil && werr != nil && !errors.Is(werr, io.ErrClosedPipe) {
		err = werr
	}
	return err
}

// writeTo writes a tar with the binary under a name.
func (b binary) writeTo(w io.Writer, name string) error {
	f, err := os.Open(b.path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	st, err := f.Stat()
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	if err := tw.WriteHeader(fileHeader(name, 0o755, st.Size())); err != nil {
		return err
	}
	if _, err := io.Copy(tw, f); err != nil {
		return err
	}
	return tw.Close()
}

// execInside starts a process in a container. It sees the end of its stdin when the connection is gone.
func (e *Engine) execInside(ctx context.Context, id string, argv []string, log *zap.Logger, run RunLabels) (*stream, error) {
	x, err := e.api.ContainerExecCreate(ctx, id, container.ExecOptions{
		User: root, Cmd: argv, AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, err
	}
	att, err := e.api.ContainerExecAttach(ctx, x.ID, container.ExecAttachOptions{})
	if err != nil {
		return nil, err
	}
	return newStream(containerPipe(att, log), &execProcess{e: e, run: run, container: id, id: x.ID}), nil
}

// execProcess is a process of ours inside a target.
type execProcess struct {
	e             *Engine
	run           RunLabels
	container, id string
}

func (x *execProcess) look(ctx context.Context) (running bool, pid int, err error) {
	s, err := x.e.api.ContainerExecInspect(ctx, x.id)
	if errdefs.IsNotFound(err) {
		return false, 0, nil // the container was removed or started anew
	}
	return s.Running, s.Pid, err
}

// wait asks again and again: the engine tells the end of an exec to nobody who does not listen to all its events.
func (x *execProcess) wait(ctx context.Context) error {
	t := time.NewTicker(restartPoll)
	defer t.Stop()
	for {
		running, _, err := x.look(ctx)
		if err == nil && !running {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
}

// kill ends it from the host's PID namespace, by the number that the engine gives.
func (x *execProcess) kill(ctx context.Context) error {
	running, pid, err := x.look(ctx)
	if err != nil || !running {
		return err
	}
	if _, err := x.e.crasher(x.run)(ctx, x.container, pid, 9); err != nil {
		return fmt.Errorf("kill the helper inside the target: %w", err)
	}
	return x.wait(ctx)
}
