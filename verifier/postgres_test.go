package verifier

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/eevans-d/simulacro/drills"
)

// fakePG is enough of a PostgreSQL server for one-statement clients: it accepts anybody and answers every statement.
type fakePG struct {
	l     net.Listener
	wg    sync.WaitGroup
	dials atomic.Int32
	fail  atomic.Pointer[pgproto3.ErrorResponse] // answer to statements
	entry atomic.Pointer[pgproto3.ErrorResponse] // answer to connecting
	held  atomic.Pointer[chan struct{}]

	mu    sync.Mutex
	conns map[net.Conn]bool
	said  []string
}

func newFakePG(t *testing.T) *fakePG {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakePG{l: l, conns: map[net.Conn]bool{}}
	f.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.dials.Add(1)
			f.mu.Lock()
			f.conns[c] = true
			f.mu.Unlock()
			f.wg.Go(func() { defer c.Close(); f.serve(c) })
		}
	})
	t.Cleanup(f.stop)
	return f
}

func (f *fakePG) stop() {
	_ = f.l.Close()
	f.cut()
	f.wg.Wait()
}

func (f *fakePG) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close()
	}
	clear(f.conns)
}

func (f *fakePG) dsn() string { return "postgres://u:p@" + f.l.Addr().String() + "/db?sslmode=disable" }

func (f *fakePG) serve(c net.Conn) {
	b := pgproto3.NewBackend(c, c)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	if e := f.entry.Load(); e != nil {
		b.Send(e)
		_ = b.Flush()
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if b.Flush() != nil {
		return
	}
	for {
		m, err := b.Receive()
		if err != nil {
			return
		}
		if h := f.held.Load(); h != nil {
			<-*h
		}
		q, ok := m.(*pgproto3.Query)
		if !ok {
			return
		}
		f.mu.Lock()
		f.said = append(f.said, q.String)
		f.mu.Unlock()
		if e := f.fail.Load(); e != nil {
			b.Send(e)
		} else {
			b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		}
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if b.Flush() != nil {
			return
		}
	}
}

func pgCheckOf(t *testing.T, f *fakePG, s drills.ProbeSpec) *pgCheck {
	t.Helper()
	s.DSN = f.dsn()
	c, err := newPGCheck(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.pool.close)
	return c
}

func TestPGCheck(t *testing.T) {
	t.Parallel()
	f := newFakePG(t)
	c := pgCheckOf(t, f, drills.ProbeSpec{Operation: "write"})
	for range 3 {
		if r := probeOnce(t, c, time.Second); r.class != Good {
			t.Fatal(r)
		}
	}
	if f.dials.Load() != 1 || !strings.Contains(f.said[0], "pg_logical_emit_message") {
		t.Errorf("%d connections, said %q", f.dials.Load(), f.said)
	}
	for _, e := range []struct {
		code  string
		want  Class
		dials int32 // so far: only a server that is a replica now costs it the connection
	}{{"42601", Malformed, 1}, {"53300", Failed, 1}, {"25006", Failed, 1}, {"42601", Malformed, 2}} {
		f.fail.Store(&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: e.code, Message: "m"})
		wait(t, dialSpacing)
		if r := probeOnce(t, c, time.Second); r.class != e.want || f.dials.Load() != e.dials {
			t.Errorf("%s: %v, want %s; %d connections, want %d", e.code, r, e.want, f.dials.Load(), e.dials)
		}
	}
	f.fail.Store(nil)
	f.cut()
	for code, want := range map[string]Class{"28P01": Unauthorised, "57P03": Failed} {
		f.entry.Store(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: "m"})
		wait(t, dialSpacing)
		if r := probeOnce(t, c, time.Second); r.class != want {
			t.Errorf("%s at connecting: %v, want %s", code, r, want)
		}
	}
	f.stop()
	wait(t, dialSpacing)
	if r := probeOnce(t, c, time.Second); r.class != Refused {
		t.Errorf("stopped: %v", r)
	}
}

// A kept connection that was cut while idle says nothing about now: the probe asks over a new one.
func TestPGCheckAfterAnIdleCut(t *testing.T) {
	t.Parallel()
	f := newFakePG(t)
	c := pgCheckOf(t, f, drills.ProbeSpec{})
	if r := probeOnce(t, c, time.Second); r.class != Good {
		t.Fatal(r)
	}
	f.cut()
	wait(t, dialSpacing)
	if r := probeOnce(t, c, time.Second); r.class != Good || f.dials.Load() != 2 {
		t.Errorf("%v after %d connections", r, f.dials.Load())
	}
}

func TestPGCheckFrozen(t *testing.T) {
	t.Parallel()
	f := newFakePG(t)
	c := pgCheckOf(t, f, drills.ProbeSpec{})
	if r := probeOnce(t, c, time.Second); r.class != Good {
		t.Fatal(r)
	}
	held := make(chan struct{})
	f.held.Store(&held)
	if r := probeOnce(t, c, 60*time.Millisecond); r.class != Timeout {
		t.Errorf("frozen: %v", r)
	}
	f.held.Store(nil)
	close(held)
	eventually(t, "recovery", func() bool { return probeOnce(t, c, time.Second).class == Good })
}

func TestPGCheckBadDSN(t *testing.T) {
	t.Parallel()
	if _, err := newPGCheck(drills.ProbeSpec{DSN: "postgres://u:secret@h:port/x"}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}
