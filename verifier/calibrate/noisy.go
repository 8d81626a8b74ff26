package calibrate

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/eevans-d/simulacro/drills"
)

// noisyServer speaks as much of PostgreSQL's protocol as a probe needs, to many null drills at the same time: each logs in as
// a user of its own, whose statements fail at a rate. It is never down and never slow: of the probe kinds this is the one
// that keeps its connection, so that some thousand probes a second leave most of a core idle.
type noisyServer struct {
	l     net.Listener
	users map[string]*noisyUser

	mu    sync.Mutex
	conns map[net.Conn]bool
	shut  bool
	work  sync.WaitGroup
}

// noisyUser is one null drill on the server's side: which of its statements fail is decided by the seed alone.
type noisyUser struct {
	rate float64

	mu     sync.Mutex
	rng    *rand.Rand
	asked  int
	failed int
}

func newNoisyUser(rate float64, seed, drill uint64) *noisyUser {
	return &noisyUser{rate: rate, rng: rand.New(rand.NewPCG(seed, drill))} //nolint:gosec // a coin, not a secret
}

// fails tosses the coin for the next statement.
func (u *noisyUser) fails() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked++
	if u.rng.Float64() >= u.rate {
		return false
	}
	u.failed++
	return true
}

// made is how many failures were of the server's making.
func (u *noisyUser) made() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.failed
}

func startNoisyServer(users map[string]*noisyUser) (*noisyServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, drills.Wrap(drills.Blocked, err, "the server of the null drills cannot listen", "")
	}
	s := &noisyServer{l: l, users: users, conns: map[net.Conn]bool{}}
	s.work.Go(s.accept)
	return s, nil
}

// noisyDSN is where a user's probe connects to.
func noisyDSN(address, user string) string {
	u := url.URL{Scheme: "postgres", User: url.User(user), Host: address, Path: "null", RawQuery: "sslmode=disable"}
	return u.String()
}

func (s *noisyServer) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.shut {
			_ = c.Close()
		} else {
			s.conns[c] = true
			s.work.Go(func() { s.serve(c) })
		}
		s.mu.Unlock()
	}
}

func (s *noisyServer) serve(c net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		_ = c.Close()
	}()
	answers, err := noisyAnswers()
	if err != nil {
		return
	}
	in := pgproto3.NewBackend(c, c)
	hello, err := in.ReceiveStartupMessage()
	start, ok := hello.(*pgproto3.StartupMessage)
	if err != nil || !ok || s.users[start.Parameters["user"]] == nil {
		return
	}
	user := s.users[start.Parameters["user"]]
	for next := answers.welcome; ; {
		if _, err := c.Write(next); err != nil {
			return
		}
		m, err := in.Receive()
		if err != nil {
			return
		}
		if _, ok := m.(*pgproto3.Query); !ok {
			return // the client says goodbye
		}
		if next = answers.good; user.fails() {
			next = answers.bad
		}
	}
}

func (s *noisyServer) close() {
	_ = s.l.Close()
	s.mu.Lock()
	s.shut = true
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
}

// answersOf are the three things that the server ever says, as they go over the wire.
type answersOf struct{ welcome, good, bad []byte }

func noisyAnswers() (answersOf, error) {
	ready := &pgproto3.ReadyForQuery{TxStatus: 'I'}
	var out answersOf
	for _, a := range []struct {
		into *[]byte
		says []pgproto3.BackendMessage
	}{
		{&out.welcome, []pgproto3.BackendMessage{
			&pgproto3.AuthenticationOk{}, &pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"},
			&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"}, &pgproto3.BackendKeyData{SecretKey: make([]byte, 4)}, ready,
		}},
		{&out.good, []pgproto3.BackendMessage{
			&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("?column?"), DataTypeOID: 23, DataTypeSize: 4, TypeModifier: -1}}},
			&pgproto3.DataRow{Values: [][]byte{[]byte("1")}}, &pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")}, ready,
		}},
		{&out.bad, []pgproto3.BackendMessage{
			&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "53200", Message: "out of memory"}, ready,
		}},
	} {
		for _, m := range a.says {
			b, err := m.Encode(*a.into)
			if err != nil {
				return out, fmt.Errorf("encode %T: %w", m, err)
			}
			*a.into = b
		}
	}
	return out, nil
}
