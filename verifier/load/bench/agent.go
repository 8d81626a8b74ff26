package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier/load"
)

// agent is a process of the program itself, started and fed as a drill does it.
type agent struct {
	cmd   *exec.Cmd
	pipe  *drills.Pipe
	in    io.Closer
	heard chan load.Readiness

	ended  chan struct{} // closed when it has said its last word; what follows is set then
	result *drills.LoadMeasured
	err    error
}

func (e env) agent(ctx context.Context, name string, spec any) (*agent, error) {
	if e.simulacro == "" {
		return nil, missing("run make build, and give --simulacro bin/simulacro")
	}
	a := &agent{cmd: exec.CommandContext(ctx, e.simulacro, "_agent", name), ended: make(chan struct{}), heard: make(chan load.Readiness, 1)}
	a.cmd.Stderr = os.Stderr
	in, err := a.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	a.in, a.pipe = in, drills.NewPipe(out, in)
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	go a.listen()
	return a, a.pipe.Send("spec", spec)
}

// listen takes the agent's frames until its last one.
func (a *agent) listen() {
	defer close(a.ended)
	for {
		f, err := a.pipe.Recv()
		if err != nil {
			a.err = fmt.Errorf("the generator ended without a result: %w", err)
			return
		}
		switch f.Type {
		case "ready":
			var r load.Readiness
			if a.err = json.Unmarshal(f.Data, &r); a.err == nil {
				a.heard <- r
			}
		case "error":
			a.err = fmt.Errorf("the generator could not begin: %s", f.Data)
			return
		case "done":
			a.result = &drills.LoadMeasured{}
			a.err = json.Unmarshal(f.Data, a.result)
			return
		}
	}
}

// awaitReady waits for the end of the ramp.
func (a *agent) awaitReady() (load.Readiness, error) {
	select {
	case r := <-a.heard:
		return r, nil
	case <-a.ended:
		return load.Readiness{}, a.err
	}
}

// end stops it and takes its result.
func (a *agent) end() (*drills.LoadMeasured, usage, error) {
	_ = a.pipe.Send("stop", nil) // one that is gone shows below
	<-a.ended
	_ = a.in.Close()
	err := errors.Join(a.err, a.cmd.Wait())
	return a.result, used(a.cmd), err
}

// used is what a process that has ended has used.
func used(cmd *exec.Cmd) usage {
	u := usage{CPU: cmd.ProcessState.SystemTime() + cmd.ProcessState.UserTime()}
	if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.RSS = r.Maxrss * 1024
	}
	return u
}

// flow runs one open-model flow for a time after its ramp and takes its result.
func (e env) flow(ctx context.Context, f drills.LoadFlow, ramp, length drills.Duration) (drills.FlowMeasured, load.Readiness, usage, error) {
	var ready load.Readiness
	fail := func(err error) (drills.FlowMeasured, load.Readiness, usage, error) {
		return drills.FlowMeasured{}, ready, usage{}, err
	}
	a, err := e.agent(ctx, "open-load", load.OpenArgs{Run: "bench", Seed: 1, Ramp: ramp, Flows: []drills.LoadFlow{f}})
	if err != nil {
		return fail(err)
	}
	if ready, err = a.awaitReady(); err == nil {
		err = rest(ctx, length.D())
	}
	m, u, stopped := a.end()
	if err = errors.Join(err, stopped); err != nil {
		return fail(err)
	}
	if len(m.Flows) != 1 {
		return fail(errors.New("the generator did not report its flow"))
	}
	return m.Flows[0], ready, u, nil
}
