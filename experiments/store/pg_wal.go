package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/eevans-d/simulacro/drills"
)

// PostgresWAL is what a spec of a WALWriter is called.
const PostgresWAL = "postgres-wal-full"

// SQLSTATE codes of a server that cannot write, or that a process of which has crashed.
const (
	diskFull      = "53100"
	crashShutdown = "57P02"  // another server process crashed: what all sessions are told after a PANIC
	cannotConnect = "57P03"  // it is starting up, or recovering from a crash
	walMessage    = 64 << 10 // bytes of WAL a statement: what a server that recovered without space may still have for others
	walStatement  = 30 * time.Second
	walAsk        = "select pg_logical_emit_message(true, 'simulacro', repeat('x', $1))::text"
	// walSlot keeps old segments from being used again. It is our session's, ends with it, and is never on disk.
	walSlot        = "select pg_create_physical_replication_slot($1, true, true)::text"
	walCrashSilent = 10 * time.Second // how long a server that broke the connection may take to say why
	walCrashPoll   = 200 * time.Millisecond
)

// WALWriter makes one server write WAL, in messages that change no data and that nobody replays, and sees it refused.
type WALWriter struct{ pgServer }

// OpenWAL makes the writer of a spec whose secrets are expanded. It connects to nothing yet.
func OpenWAL(s Spec, dial Dial) (*WALWriter, error) {
	if s.Postgres == nil {
		return nil, errors.New("the spec says no PostgreSQL")
	}
	return &WALWriter{pgServer{spec: s, dial: dial}}, nil
}

// Refusal is how a server refused to write. From and To (CLOCK_MONOTONIC, ns) are around the statement that met it.
type Refusal struct {
	From     int64  `json:"from"`
	To       int64  `json:"to"`
	Severity string `json:"severity,omitempty"` // ERROR, FATAL or PANIC, as the server says
	Code     string `json:"code,omitempty"`     // SQLSTATE; none: the server went away without a word
	Message  string `json:"message"`
	Written  int64  `json:"written_bytes"` // WAL that we had it write before
	Slot     bool   `json:"slot"`          // a temporary slot of ours kept it from using old segments again
}

// Proven tells whether it is the server's own word that it cannot write, or that it has crashed.
func (r Refusal) Proven() bool {
	return r.Code == diskFull || r.Code == crashShutdown || r.Code == cannotConnect
}

// Check refuses a server that takes no writes by itself.
func (w *WALWriter) Check(ctx context.Context) error {
	if err := w.primary(ctx); err != nil {
		return err
	}
	ok, why, err := w.Accepts(ctx)
	if err == nil && !ok {
		err = blocked("mend it first", "%s takes no writes now: %s", w.where(), why)
	}
	return err
}

// Fill writes until the server refuses, for at most so many bytes: a server that takes more has its WAL elsewhere.
func (w *WALWriter) Fill(ctx context.Context, most int64) (Refusal, error) {
	var r Refusal
	c, err := w.connect(ctx, w.spec.Name(), map[string]string{"statement_timeout": ms(walStatement), "synchronous_commit": "local"})
	if err == nil {
		_, slotErr := c.Exec(ctx, walSlot, strings.ReplaceAll(w.spec.Name(), "-", "_"))
		r.Slot = slotErr == nil // without one it has to be tried all the same
	}
	for ; err == nil; r.Written += walMessage {
		if r.Written >= most {
			_ = c.Close(ctx) // nothing is lost
			return r, w.untouched(r)
		}
		r.From = drills.Monotonic()
		if _, err = c.Exec(ctx, walAsk, walMessage); err != nil {
			break
		}
	}
	r.To = drills.Monotonic()
	if c != nil {
		_ = c.Close(ctx)
	}
	if r.From == 0 { // the disk was full before we came
		r.From = r.To
	}
	return w.classify(ctx, r, err)
}

// untouched explains a server that wrote all that we wanted.
func (w *WALWriter) untouched(r Refusal) error {
	why, hint := "its pg_wal is not on the file system that is full", "look at `path`"
	if !r.Slot {
		why = "it uses its old segments again, or " + why
		hint = "give our role REPLICATION, so that a temporary slot keeps the old segments: ALTER ROLE … REPLICATION, with a free slot in max_replication_slots; and " + hint
	}
	return blocked(hint, "%s wrote %d MiB of WAL and did not refuse: %s", w.where(), r.Written>>20, why)
}

// classify finds the server's own word. A connection that broke without one belongs to a process that crashed: who knocks
// next is told so.
func (w *WALWriter) classify(ctx context.Context, r Refusal, err error) (Refusal, error) {
	for deadline := time.Now().Add(walCrashSilent); ; {
		r.Message = err.Error()
		var e *pgconn.PgError
		if errors.As(err, &e) {
			r.Severity, r.Code, r.Message = e.Severity, e.Code, e.Message
			if e.Detail != "" {
				r.Message += ": " + e.Detail
			}
			if !r.Proven() {
				return r, w.explain(err)
			}
			return r, nil
		}
		if time.Now().After(deadline) {
			return r, nil // gone without a word: not proven
		}
		if !drills.Wait(ctx, walCrashPoll) {
			return r, context.Cause(ctx)
		}
		ok, _, again := w.write(ctx)
		if ok {
			return r, errors.New("the connection broke and the server takes writes: " + err.Error())
		}
		if code(again) != "" {
			err = again
		}
	}
}

// Accepts tells whether the server takes writes, by a message of one byte in its WAL, or is a replica by now, which is not to
// take any. Why it does not is in words; an error is a question that it did not let us ask.
func (w *WALWriter) Accepts(ctx context.Context) (ok bool, why string, err error) {
	ok, why, err = w.write(ctx)
	switch c := code(err); {
	case err == nil:
		return ok, why, nil
	case c == diskFull || c == crashShutdown || c == cannotConnect || c == tooManyConnections || c == queryCanceled:
		return false, err.Error(), nil
	case c != "":
		return false, "", err
	case ctx.Err() != nil:
		return false, "", context.Cause(ctx)
	}
	return false, "it does not answer: " + err.Error(), nil // whatever the way there says: it is not there
}

func (w *WALWriter) write(ctx context.Context) (ok bool, why string, err error) {
	c, err := w.connect(ctx, controlName, map[string]string{"statement_timeout": ms(answerWithin), "synchronous_commit": "local"})
	if err != nil {
		return false, "", err
	}
	defer func() { _ = c.Close(ctx) }()
	var replica bool
	if err := c.QueryRow(ctx, "select pg_is_in_recovery()").Scan(&replica); err != nil || replica {
		return replica, "it is a replica", err
	}
	_, err = c.Exec(ctx, walAsk, 1)
	return err == nil, "", err
}
