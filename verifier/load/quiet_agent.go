package load

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// lookEvery is how often every silent client is looked at.
const lookEvery = 100 * time.Millisecond

// QuietMain is the agent ws-quiet: clients that connect, subscribe and behave, and fall silent together, or whose token expires. It reads QuietArgs as
// its spec, sends "ready" (Readiness) when their silence is proven or its time is over, "second" (drills.LoadPoint, Open being
// what the target still holds) every second, and "done" (drills.LoadMeasured with Quiet) once it is told to stop, its input
// ends or its lease runs out. "error" is sent when it cannot begin. It returns when every connection is reset.
func QuietMain(ctx context.Context, in io.Reader, out io.Writer) error {
	pipe := drills.NewPipe(in, out)
	var a QuietArgs
	err := pipe.Spec(&a)
	if err == nil {
		err = a.check()
	}
	if err == nil {
		raiseFiles()
		if a.Kind == drills.ExpiredClients {
			err = newExpiry(a).run(ctx, pipe)
		} else {
			err = newSilence(a).run(ctx, pipe)
		}
	}
	if err != nil {
		_ = pipe.Send("error", trouble{err.Error()})
	}
	return err
}

// silence is all clients from their first connect to the result.
type silence struct {
	args    QuietArgs
	book    *book
	clients []*quiet
	series  []drills.LoadPoint
	ramp    time.Duration
	out     outbox
	told    bool // ready was sent
}

func newSilence(a QuietArgs) *silence {
	return &silence{args: a, book: newBook(newAccount(1).marker, a.Connections)}
}

func (s *silence) run(ctx context.Context, pipe *drills.Pipe) error {
	until, stop := whileWanted(ctx, pipe, s.args.Lease.D(), nil)
	defer stop()
	if err := s.connect(until); err != nil {
		return err
	}
	defer func() {
		for _, q := range s.clients {
			q.release()
		}
	}()
	s.out = newOutbox(pipe)
	err := s.keep(until)
	m := s.measured(time.Now())
	for _, q := range s.clients { // before the result: nothing is left of it when somebody reads that
		q.release()
	}
	close(s.out.frames)
	if err != nil {
		<-s.out.empty
		return err
	}
	return lastFrame(s.out, pipe, m)
}

// connect opens the connections along the ramp, well-behaved, and takes those that are open at its end from the loop.
func (s *silence) connect(ctx context.Context) error {
	client := newClient()
	defer client.CloseIdleConnections()
	session := &session{client: client, login: s.args.Login}
	if err := session.prove(ctx); err != nil {
		return err
	}
	v, err := newVoice(ctx, s.args.plan(session), s.book)
	if err != nil {
		return err
	}
	looping, end := context.WithCancel(context.WithoutCancel(ctx))
	ran := make(chan error, 1)
	begin := time.Now()
	go func() { ran <- v.run(looping) }()
	defer end()
	select {
	case err := <-ran:
		return err
	case <-ctx.Done():
	case <-s.book.ramped:
	}
	s.ramp = time.Since(begin)
	taken := make(chan struct{})
	v.loop.Do(func() { s.take(v); close(taken) })
	select {
	case err := <-ran:
		return err
	case <-taken:
	}
	end()
	return <-ran
}

// take is for the loop's thread.
func (s *silence) take(v *voice) {
	for id := range v.conns {
		if v.conns[id].joined == 0 {
			continue
		}
		if fd, ok := v.loop.Take(id); ok {
			s.clients = append(s.clients, &quiet{fd: fd})
		}
	}
}

// keep makes the clients fall silent and watches them until ctx ends. It is an error if one of them cannot.
func (s *silence) keep(ctx context.Context) error {
	scratch := make([]byte, readSize)
	prove := time.Now().Add(s.args.Prove.D())
	second, before := time.Now().Add(time.Second), time.Now()
	for due := time.Now(); ; due = due.Add(lookEvery) {
		if time.Since(due) > lookEvery { // looks that were slept through are not made up for
			due = time.Now()
		}
		going := pause(ctx, due)
		now := time.Now()
		slept := now.Sub(before)
		before = now
		if err := s.look(slept, scratch); err != nil || !going { // once more at the end: what was ended just now is not held
			return err
		}
		if !s.told && (s.proven() || now.After(prove)) {
			s.told = true
			s.out.put("ready", s.readiness())
		}
		if !now.Before(second) {
			second = second.Add(time.Second)
			s.point(now)
		}
	}
}

func (s *silence) look(slept time.Duration, scratch []byte) error {
	for _, q := range s.clients {
		if q.fd < 0 {
			continue
		}
		if !q.from.IsZero() {
			q.watch(s.args, slept, scratch)
			continue
		}
		if _, err := q.hush(s.args); err != nil {
			return fmt.Errorf("a client cannot fall silent: %w", err)
		}
	}
	return nil
}

// proven tells whether the silence of everybody who connected is.
func (s *silence) proven() bool {
	for _, q := range s.clients {
		if !q.silent() {
			return false
		}
	}
	return len(s.clients) > 0
}

func (s *silence) readiness() Readiness {
	r := Readiness{Connected: len(s.clients), Wanted: s.args.Connections, Quiet: true}
	for _, q := range s.clients {
		if !q.silent() {
			continue
		}
		r.Silent++
		if r.From.IsZero() || q.from.Before(r.From) {
			r.From = q.from
		}
		if q.from.After(r.To) {
			r.To = q.from
		}
	}
	if r.From.IsZero() {
		r.From = time.Now()
		r.To = r.From
	}
	r.From, r.To = r.From.UTC(), r.To.UTC()
	return r
}

func (s *silence) point(now time.Time) {
	p := drills.LoadPoint{At: now.UTC()}
	for _, q := range s.clients {
		if q.fd >= 0 {
			p.Open++
		}
	}
	if len(s.series) < longestSeries {
		s.series = append(s.series, p)
	}
	s.out.put("second", p)
}
