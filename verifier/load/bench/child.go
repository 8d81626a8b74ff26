package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// child runs one of the children: its spec is the first line of in, its answer one line of JSON on out.
func child(ctx context.Context, name string, in io.Reader, out io.Writer) error {
	main, ok := children()[name]
	if !ok {
		return fmt.Errorf("there is no child %q", name)
	}
	return main(ctx, in, out)
}

// receive reads a child's spec, the first line of its input.
func receive(in io.Reader, spec any) (*bufio.Reader, error) {
	r := bufio.NewReader(in)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("read the spec: %w", err)
	}
	return r, json.Unmarshal(line, spec)
}

// process is a child that runs. Its standard input stays open until stop: a server ends with it.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start runs this program again as a child and hands it its spec.
func (e env) start(ctx context.Context, name string, spec any) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, e.self, "_child", name)}
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewReaderSize(out, 1<<20)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, json.NewEncoder(in).Encode(spec)
}

// answer waits for the child's line.
func (p *process) answer(v any) error {
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the child %v gave no answer: %w", p.cmd.Args[1:], err)
	}
	return json.Unmarshal(line, v)
}

// usage is what a process has used.
type usage struct {
	CPU time.Duration // user and system
	RSS int64         // most resident memory, bytes
}

// stop ends the child and tells what it has used.
func (p *process) stop() (usage, error) {
	_ = p.in.Close()
	err := p.cmd.Wait()
	return used(p.cmd), err
}

// once runs a child to its end: spec in, answer out.
func (e env) once(ctx context.Context, name string, spec, answer any) (usage, error) {
	p, err := e.start(ctx, name, spec)
	if err != nil {
		return usage{}, err
	}
	err = p.answer(answer)
	u, stopped := p.stop()
	if err == nil {
		err = stopped
	}
	return u, err
}
