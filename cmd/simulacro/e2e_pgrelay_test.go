package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// pgRelay is a TCP relay that records which inserts it saw committed. It reads the protocol by itself and shares no code with
// the canary.
type pgRelay struct {
	to    string
	l     net.Listener
	wg    sync.WaitGroup
	mu    sync.Mutex
	acked map[string]bool
}

func startPGRelay(t *testing.T, to string) *pgRelay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &pgRelay{to: to, l: l, acked: map[string]bool{}}
	r.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); r.wg.Wait() })
	return r
}

// pgTalk is one connection: what statements it has prepared, and the insert whose end is not yet known.
type pgTalk struct {
	mu      sync.Mutex
	inserts map[string]bool // names of prepared statements that insert
	pending string          // number of the insert under way; empty: none
	done    bool            // the server said that it was executed
}

func (r *pgRelay) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer server.Close()
	talk := &pgTalk{inserts: map[string]bool{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.answers(io.TeeReader(server, client), talk)
		_ = client.(*net.TCPConn).CloseWrite()
	}()
	in := bufio.NewReader(client)
	if b, err := body(in); err == nil && pass(server, nil, b) == nil { // the start of a connection has no type
		for {
			kind, err := in.ReadByte()
			if err != nil {
				break
			}
			b, err := body(in)
			if err != nil {
				break
			}
			talk.asked(kind, b) // before it is passed on: the answer may be here before this goroutine goes on
			if pass(server, []byte{kind}, b) != nil {
				break
			}
		}
	}
	_ = client.SetReadDeadline(time.Now().Add(2 * time.Second))
	server.Close()
	<-ended
}

// body reads a length, which counts itself, and what follows.
func body(in *bufio.Reader) ([]byte, error) {
	var n uint32
	if err := binary.Read(in, binary.BigEndian, &n); err != nil {
		return nil, err
	}
	b := make([]byte, n-4)
	_, err := io.ReadFull(in, b)
	return b, err
}

// pass sends a message on: its type, if it has one, its length and what follows.
func pass(to io.Writer, kind, b []byte) error {
	m := binary.BigEndian.AppendUint32(kind, uint32(len(b)+4))
	_, err := to.Write(append(m, b...))
	return err
}

func text0(b []byte) (string, []byte) {
	s, rest, _ := strings.Cut(string(b), "\x00")
	return s, []byte(rest)
}

// asked notes prepared inserts (Parse) and their first parameter (Bind), which is the number.
func (p *pgTalk) asked(kind byte, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch kind {
	case 'P':
		name, rest := text0(b)
		sql, _ := text0(rest)
		p.inserts[name] = strings.HasPrefix(strings.ToLower(sql), "insert into")
	case 'B':
		_, rest := text0(b)
		name, rest := text0(rest)
		if !p.inserts[name] {
			return
		}
		formats := int(binary.BigEndian.Uint16(rest))
		binaryFirst := formats > 0 && binary.BigEndian.Uint16(rest[2:]) == 1
		rest = rest[2+2*formats+2:]
		first := rest[4 : 4+binary.BigEndian.Uint32(rest)]
		p.pending, p.done = string(first), false
		if binaryFirst {
			p.pending = strconv.FormatInt(int64(binary.BigEndian.Uint64(first)), 10)
		}
	}
}

// answers reads what the server says. An insert is committed when the server is ready again after having executed it: before
// that the commit may still fail.
func (r *pgRelay) answers(from io.Reader, p *pgTalk) {
	in := bufio.NewReader(from)
	for {
		kind, err := in.ReadByte()
		if err != nil {
			return
		}
		b, err := body(in)
		if err != nil {
			return
		}
		p.mu.Lock()
		switch kind {
		case 'C':
			p.done = p.pending != "" && strings.HasPrefix(string(b), "INSERT 0 1")
		case 'E':
			p.done = false
		case 'Z':
			if p.done {
				r.mu.Lock()
				r.acked[p.pending] = true
				r.mu.Unlock()
			}
			p.pending, p.done = "", false
		}
		p.mu.Unlock()
	}
}

// TestLostRowsAreCountedExactly: the partition loses committed rows, and our count equals what the relay on the canary's
// connection saw committed, less what psql reads from the members afterwards.
func TestLostRowsAreCountedExactly(t *testing.T) {
	e2e(t, true)
	whole(t)
	primary := pgPrimaries(t)[0]
	addr := docker(t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", service(t, primary)) + ":5432"
	r := startPGRelay(t, addr)
	system := systemWith(t, "pg-pinned", `
    kind: postgres
    from: {host: true}
    dsn: "postgres://simulacro:${file:.state/gad/secrets/PG_SIMULACRO_PASSWORD}@`+r.l.Addr().String()+`/gad?sslmode=disable"
    connection: pinned
    timeout: 5s # an answer that is late on a busy machine is still an answer, to both
    table: simulacro.canary_relayed_{run}
    purge: false
`)
	rec, _ := runDrill(t, t.TempDir(), system, e2eDrill("e2e-pg-partition"))
	var c drills.CanaryMeasured
	for _, x := range rec.Canaries {
		if x.Name == "pg-pinned" {
			c = x
		}
	}
	found := rowsLeft(t, "canary_relayed_%")
	lost := 0
	for id := range r.acked {
		if !found[id] {
			lost++
		}
	}
	t.Logf("relay saw %d committed, psql finds %d, lost %d; the canary says %d acknowledged, %d lost %q", len(r.acked), len(found), lost, c.Acked, c.Lost, c.Error)
	if lost == 0 || c.Lost != lost || c.Acked != len(r.acked) {
		t.Errorf("canary: %d acked, %d lost; relay and psql: %d acked, %d lost", c.Acked, c.Lost, len(r.acked), lost)
	}
	if rec.Dirty || rec.Outcome == drills.Invalid {
		t.Errorf("%s %s", rec.Outcome, rec.Sentence)
	}
}

// rowsLeft reads, by psql on every member, the numbers in the table of that name, and drops it.
func rowsLeft(t *testing.T, like string) map[string]bool {
	t.Helper()
	psql := func(member, sql string) string {
		out, err := exec.Command("docker", "exec", service(t, member), "psql", "-h", "/tmp", "-U", "postgres", "-d", "gad", "-Atc", sql).Output()
		if err != nil {
			t.Fatalf("psql on %s: %v", member, err)
		}
		return strings.TrimSpace(string(out))
	}
	primary := pgPrimaries(t)[0]
	table := psql(primary, "select schemaname || '.' || tablename from pg_tables where tablename like '"+like+"'")
	if table == "" || strings.Contains(table, "\n") {
		t.Fatalf("tables like %s: %q", like, table)
	}
	found := map[string]bool{}
	for _, member := range []string{"pg-1", "pg-2", "pg-3"} {
		for id := range strings.FieldsSeq(psql(member, "select id from "+table)) {
			found[id] = true
		}
	}
	psql(primary, "drop table "+table)
	return found
}
