package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/eevans-d/simulacro/drills"
)

// about is what the echo agent says of itself: who it is and what it may do.
type about struct {
	UID    int    `json:"uid"`
	CapEff string `json:"cap_eff"`
	NoNew  string `json:"no_new_privs"`
	Nofile uint64 `json:"nofile"`
	Write  string `json:"write"` // error of writing the file
	PID    int    `json:"pid"`
	PGID   int    `json:"pgid"`
	FIFO   string `json:"fifo"` // error of asking for SCHED_FIFO, "" when granted
	Addrs  string `json:"addrs"`
	Lookup string `json:"lookup"` // what the name in the spec resolves to, or the error
}

// echo sends "ready" with what it is, then every frame back as "echo", and "bye" with the reason at the end.
func echo(ctx context.Context, in io.Reader, out io.Writer) error {
	p := drills.NewPipe(in, out)
	var spec struct {
		Lookup string          `json:"lookup"`
		Lease  drills.Duration `json:"lease"`
		Stderr string          `json:"stderr"`
		Hang   bool            `json:"hang"`  // do not end at the end of stdin
		Write  string          `json:"write"` // try to write this file
	}
	if err := p.Spec(&spec); err != nil {
		return err
	}
	if spec.Stderr != "" {
		fmt.Fprintln(os.Stderr, spec.Stderr)
	}
	if err := p.Send("ready", me(ctx, spec.Lookup, spec.Write)); err != nil {
		return err
	}
	why := p.Watch(ctx, spec.Lease.D(), func(f drills.Frame) { _ = p.Send("echo", f) })
	if spec.Hang {
		select {}
	}
	return p.Send("bye", why)
}

func me(ctx context.Context, lookup, write string) about {
	a := about{UID: os.Getuid(), CapEff: status("CapEff:"), NoNew: status("NoNewPrivs:"), PID: os.Getpid(), PGID: syscall.Getpgrp()}
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) == nil {
		a.Nofile = r.Max
	}
	if write != "" {
		if err := os.WriteFile(write, nil, 0o600); err != nil {
			a.Write = err.Error()
		}
	}
	a.FIFO = fifo()
	if addrs, err := net.InterfaceAddrs(); err == nil {
		a.Addrs = fmt.Sprint(addrs)
	}
	if lookup != "" {
		ips, err := net.DefaultResolver.LookupHost(ctx, lookup)
		a.Lookup = fmt.Sprint(ips, err)
	}
	return a
}

// status is one line of /proc/self/status.
func status(key string) string {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// listen answers every connection with its host name and closes it.
func listen(ctx context.Context, addr string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	name, _ := os.Hostname()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		_, _ = c.Write([]byte(name))
		_ = c.Close()
	}
}
