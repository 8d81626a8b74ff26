package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/eevans-d/simulacro/drills"
)

// askEvery is how often it is asked whether the target still lets the token in.
const askEvery = 500 * time.Millisecond

// kept is a token that nobody renews.
type kept string

func (k kept) get(context.Context) (string, error) { return string(k), nil }

func (kept) refused(string) {}

// expiry is clients that behave, with a token that expires while they are connected and that they do not renew.
type expiry struct {
	args   QuietArgs
	book   *book
	out    outbox
	token  string
	ends   time.Time // of the token, by the login's answer: not later than its real end
	barred time.Time // when a handshake with the token was first refused after that; zero: never
	ramp   time.Duration
	series []drills.LoadPoint

	mu      sync.Mutex
	joined  map[int]bool      // by connection: open
	expired int               // that were open when the token expired; fixed from then on
	ended   map[int]time.Time // of those that were open then
	hows    map[string]int
}

func newExpiry(a QuietArgs) *expiry {
	return &expiry{args: a, book: newBook(newAccount(1).marker, a.Connections), joined: map[int]bool{}, ended: map[int]time.Time{}, hows: map[string]int{}}
}

func (e *expiry) run(ctx context.Context, pipe *drills.Pipe) error {
	until, stop := whileWanted(ctx, pipe, e.args.Lease.D(), nil)
	defer stop()
	client := newClient()
	defer client.CloseIdleConnections()
	session := &session{client: client, login: e.args.Login}
	if err := session.prove(until); err != nil {
		return err
	}
	e.token, e.ends = session.token, session.ends
	if life := time.Until(e.ends); life > e.args.Life.D() {
		return fmt.Errorf("the token lives %s, and the step waits at most %s for its end: ask for a shorter one, or set `life`", life.Round(time.Second), e.args.Life)
	}
	v, err := e.voice(until)
	if err != nil {
		return err
	}
	looping, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	ran := make(chan error, 1)
	begin := time.Now()
	go func() { ran <- v.run(looping) }()
	e.out = newOutbox(pipe)
	err = e.keep(until, begin)
	m := e.measured()
	end()
	err = errors.Join(err, <-ran)
	close(e.out.frames)
	if err != nil {
		<-e.out.empty
		return err
	}
	return lastFrame(e.out, pipe, m)
}

func (e *expiry) voice(ctx context.Context) (*voice, error) {
	p := e.args.plan(kept(e.token))
	p.once = true
	v, err := newVoice(ctx, p, e.book)
	if err == nil {
		v.told = e.told
	}
	return v, err
}

// told is called on the loop's thread: connection id has joined, or has ended. The time decides what is counted: a target that
// ends them at the very instant may be faster than keep, which waits for it.
func (e *expiry) told(id int, err error) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		if now.Before(e.ends) { // whoever gets in with an expired token is not what is counted
			e.joined[id] = true
		}
		return
	}
	if e.joined[id] && !now.Before(e.ends) {
		e.ended[id] = now
		e.hows[reason(err)]++
	}
	delete(e.joined, id)
}

// keep waits for the ramp and the token's end, and then counts until ctx ends.
func (e *expiry) keep(ctx context.Context, begin time.Time) error {
	select {
	case <-ctx.Done():
		return nil
	case <-e.book.ramped:
	}
	e.ramp = time.Since(begin)
	if now := time.Now(); now.After(e.ends) {
		return fmt.Errorf("the token expired %s before all clients were connected: ask for one that lives longer, or shorten the ramp", now.Sub(e.ends).Round(time.Millisecond))
	}
	if !pause(ctx, e.ends) {
		return nil
	}
	e.fix()
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() { e.prove(ctx) })
	for due := e.ends; pause(ctx, due); due = due.Add(time.Second) {
		p := drills.LoadPoint{At: time.Now().UTC(), Open: e.left()}
		if len(e.series) < longestSeries {
			e.series = append(e.series, p)
		}
		e.out.put("second", p)
	}
	return nil
}

// fix counts those who were open when the token expired.
func (e *expiry) fix() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.expired = len(e.joined) + len(e.ended)
}

func (e *expiry) left() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.expired - len(e.ended)
}

// prove asks until a handshake with the token is refused, and says that the clients are ready: proven, or not.
func (e *expiry) prove(ctx context.Context) {
	limit := time.Now().Add(e.args.Prove.D())
	for due := time.Now(); pause(ctx, due) && due.Before(limit); due = due.Add(askEvery) {
		if e.refused(ctx) {
			e.barred = time.Now()
			break
		}
	}
	r := Readiness{Quiet: true, Wanted: e.args.Connections, From: e.ends.UTC(), To: e.ends.UTC()}
	e.mu.Lock()
	r.Connected = e.expired
	e.mu.Unlock()
	if !e.barred.IsZero() {
		r.Silent, r.To = r.Connected, e.barred.UTC()
	}
	e.out.put("ready", r)
}

func (e *expiry) refused(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, br, _, err := ws.Dialer{}.Dial(ctx, "ws://"+e.args.Targets[0]+withToken(e.args.Path, e.token))
	if br != nil {
		ws.PutReader(br)
	}
	if err == nil {
		_ = conn.Close()
	}
	return err != nil && unauthorised(err)
}

// measured is the result. prove has ended.
func (e *expiry) measured() drills.LoadMeasured {
	t := e.book.tally()
	e.mu.Lock()
	defer e.mu.Unlock()
	q := drills.QuietClients{Kind: e.args.Kind, Ends: counted(e.hows), Ended: len(e.ended), Held: e.expired - len(e.ended)}
	if q.Since = (drills.Interval{From: e.ends.UTC(), To: e.ends.UTC()}); e.barred.IsZero() {
		q.Unproven = e.expired
	} else {
		q.Silent, q.Since.To = e.expired, e.barred.UTC()
	}
	var spans []drills.Span
	for _, at := range e.ended {
		spans = append(spans, drills.At(at).Since(q.Since))
	}
	q.First, q.Half, q.Last = spread(spans)
	return drills.LoadMeasured{
		Engine: "epoll loop, " + e.args.Kind, Wanted: e.args.Connections, Connected: e.expired, FailedDials: int(t.Failed), DialErrors: counted(t.Errors),
		Drops: int(t.Drops), RampTook: drills.Duration(e.ramp), RSSBytes: rss(), MemoryBytes: pss(), CPU: drills.Duration(cpuTime()), Series: e.series, Quiet: &q,
	}
}
