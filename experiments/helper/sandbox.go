package helper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/eevans-d/simulacro/drills"
)

// SandboxSpec is the work of an isolated container's main process: it answers tasks one after the other, and ends with its
// stream. What it has started ends with it, because it is the first process there.
type SandboxSpec struct {
	Kind  string          `json:"kind"`
	Lease drills.Duration `json:"lease"`
}

// Task is one thing to do in a sandbox, the data of a "task" frame: a command, a question to a database, or a look at backup
// files. Exactly one of them is set.
type Task struct {
	ID      int             `json:"id"`
	Limit   drills.Duration `json:"limit"`
	Command []string        `json:"command,omitempty"`
	Dir     string          `json:"dir,omitempty"` // of the command
	SQL     string          `json:"sql,omitempty"`
	DSN     string          `json:"dsn,omitempty"`
	Backup  *BackupSpec     `json:"backup,omitempty"`
	WAL     string          `json:"wal,omitempty"`  // folder of a WAL archive: is it without holes?
	Tail    string          `json:"tail,omitempty"` // file whose last lines are wanted

	WALMaxAge drills.Duration `json:"wal_max_age,omitempty"` // how long nothing may have been written to it; zero: any time
}

// Answer is the data of a "result" frame. Failed is what the thing asked said; Error is why it could not be asked.
type Answer struct {
	ID     int                 `json:"id"`
	Text   string              `json:"text,omitempty"`
	Failed string              `json:"failed,omitempty"`
	Cause  string              `json:"cause,omitempty"` // slug of what is wrong with a backup
	Error  string              `json:"error,omitempty"`
	Backup *drills.BackupFound `json:"backup,omitempty"`
}

const (
	// mostText is how much of an answer is handed on, in bytes.
	mostText = 64 << 10
	// killGrace is how long a command's pipes may stay open after it was killed.
	killGrace = 2 * time.Second
)

// sandbox answers tasks until the stream ends.
func sandbox(ctx context.Context, p *drills.Pipe, s SandboxSpec) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tasks := make(chan Task, 16)
	var worker sync.WaitGroup
	worker.Go(func() {
		for t := range tasks {
			a := t.answer(ctx)
			a.ID = t.ID
			if p.Send("result", a) != nil {
				return
			}
		}
	})
	if err := p.Send("ready", nil); err != nil {
		return err
	}
	p.Watch(ctx, s.Lease.D(), func(f drills.Frame) {
		var t Task
		if err := json.Unmarshal(f.Data, &t); err != nil || f.Type != "task" {
			_ = p.Send("error", Failure{Message: fmt.Sprintf("frame %q is not understood: %v", f.Type, err)})
			return
		}
		tasks <- t
	})
	cancel()
	close(tasks)
	worker.Wait()
	return nil
}

func (t Task) answer(ctx context.Context) Answer {
	if t.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t.Limit.D(), fmt.Errorf("not done within %s", t.Limit))
		defer cancel()
	}
	switch {
	case len(t.Command) > 0:
		return runCommand(ctx, t.Command, t.Dir)
	case t.SQL != "":
		text, err := Query(ctx, t.DSN, t.SQL, nil)
		return answerOf(text, err)
	case t.Backup != nil:
		found, cause, why := FindBackup(*t.Backup, time.Now())
		return Answer{Backup: found, Cause: cause, Failed: why}
	case t.WAL != "":
		text, why := WALHole(t.WAL)
		if why == "" && t.WALMaxAge > 0 {
			why = WALOld(t.WAL, t.WALMaxAge.D(), time.Now())
		}
		return Answer{Text: text, Failed: why}
	case t.Tail != "":
		text, err := lastComplaint(t.Tail)
		return answerOf(text, err)
	}
	return Answer{Error: "the task says nothing to do"}
}

func answerOf(text string, err error) Answer {
	if err != nil {
		return Answer{Failed: err.Error()}
	}
	return Answer{Text: text}
}

// runCommand runs a command with no standard input, in a process group of its own, which is killed at its limit. A daemon that
// the command leaves behind in another session goes on.
func runCommand(ctx context.Context, argv []string, dir string) Answer {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killGrace
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &limited{&out}, &limited{&errs}
	err := cmd.Run()
	a := Answer{Text: strings.TrimRight(out.String(), "\n")}
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrWaitDelay):
		err = nil // it ended well; a daemon of its holds the pipes
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	switch {
	case err == nil:
	case errors.As(err, &exit):
		a.Failed = fmt.Sprintf("%s ended with code %d%s", argv[0], exit.ExitCode(), lastLine(": ", errs.String(), out.String()))
	default:
		a.Failed = fmt.Sprintf("%s: %s%s", argv[0], err, lastLine(": ", errs.String(), out.String()))
	}
	return a
}

// lastLine is the last line that says something, of the first text that has one.
func lastLine(before string, texts ...string) string {
	for _, text := range texts {
		lines := strings.Split(strings.TrimSpace(text), "\n")
		if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
			return before + last
		}
	}
	return ""
}

// limited keeps the first mostText bytes and lets the rest go.
type limited struct{ b *bytes.Buffer }

// Write keeps what there is room for.
func (l *limited) Write(p []byte) (int, error) {
	if room := mostText - l.b.Len(); room > 0 {
		l.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// Query asks one question of a PostgreSQL server: the rows of its last result, one a line, columns separated by "|". dial may
// be nil.
func Query(ctx context.Context, dsn, sql string, dial pgconn.DialFunc) (string, error) {
	cfg, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return "", fmt.Errorf("the connection string: %w", err)
	}
	if dial != nil {
		cfg.DialFunc = dial
		cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }() // only read
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 {
		return "", err
	}
	var lines []string
	for _, row := range results[len(results)-1].Rows {
		columns := make([]string, len(row))
		for i, v := range row {
			columns[i] = string(v)
		}
		lines = append(lines, strings.Join(columns, "|"))
	}
	text := strings.Join(lines, "\n")
	return text[:min(len(text), mostText)], nil
}
