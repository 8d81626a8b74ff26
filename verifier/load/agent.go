package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	// loginTries at the start, loginPause apart.
	loginTries = 5
	loginPause = time.Second
	// patience with answers and frames that are still on their way at the end.
	patience = 5 * time.Second
	drain    = 2 * time.Second
	// lastWord is how long the last frame may take: nobody may be reading any more.
	lastWord = 5 * time.Second
	// longestSeries bounds the points in the result, one a second.
	longestSeries = 7200
)

// WebSocketMain is the agent ws-load: it reads Args as its spec, sends "ready" (Readiness) when the ramp is over,
// "second" (drills.LoadPoint) every second after that, and "done" (drills.LoadMeasured) once it is told to stop, its
// input ends or its lease runs out. "error" is sent when it cannot begin. It returns when every connection is closed.
func WebSocketMain(ctx context.Context, in io.Reader, out io.Writer) error {
	pipe := drills.NewPipe(in, out)
	var a Args
	err := pipe.Spec(&a)
	if err == nil {
		err = a.check()
	}
	if err != nil {
		_ = pipe.Send("error", trouble{err.Error()})
		return err
	}
	g := newGenerator(a, newGoroutines())
	return g.run(ctx, pipe)
}

// generator runs one load from ramp to result.
type generator struct {
	args   Args
	engine engine
	book   *book
	tokens *session
	client *http.Client
	pub    *publisher // nil: nothing is published
	lag    *timing
	began  time.Time
	ramp   time.Duration // that the ramp took
	series []drills.LoadPoint
	out    outbox
}

// outbox sends frames without making anybody wait: an orchestrator that has stopped reading must not keep the
// generator from ending its load. What does not fit is left out; the result is not sent this way.
type outbox struct {
	frames chan outgoing
	empty  chan struct{} // closed when everything is sent
}

type outgoing struct {
	kind string
	data any
}

func newOutbox(pipe *drills.Pipe) outbox {
	o := outbox{frames: make(chan outgoing, 64), empty: make(chan struct{})}
	go func() {
		defer close(o.empty)
		for f := range o.frames {
			_ = pipe.Send(f.kind, f.data) // nobody reads any more: the end of the input will tell us to stop
		}
	}()
	return o
}

func (o outbox) put(kind string, data any) {
	select {
	case o.frames <- outgoing{kind, data}:
	default:
	}
}

func newGenerator(a Args, e engine) *generator {
	t := &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, MaxIdleConnsPerHost: unanswered}
	g := &generator{args: a, engine: e, book: newBook(a.Connections), client: &http.Client{Transport: t}, lag: newTiming()}
	g.tokens = &session{client: g.client, login: a.Login}
	if a.Publish != nil {
		g.pub = &publisher{spec: *a.Publish, book: g.book, tokens: g.tokens, client: g.client, late: newTiming()}
	}
	g.book.limits.nofile = raiseFiles()
	return g
}

func (g *generator) run(ctx context.Context, pipe *drills.Pipe) error {
	until, stop := context.WithCancel(ctx)
	defer stop()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer stop()
		pipe.Watch(until, g.args.Lease.D(), nil)
	}()
	defer func() { stop(); <-watched }()
	defer g.client.CloseIdleConnections()
	if err := g.login(until); err != nil {
		_ = pipe.Send("error", trouble{err.Error()})
		return err
	}
	// Connections outlive "until": what was published just before it still has to arrive.
	holding, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	var held, own sync.WaitGroup
	g.began = time.Now()
	own.Go(func() { watchLag(holding, g.lag) })
	held.Go(func() {
		p := plan{connections: g.args.Connections, targets: g.args.Targets, path: g.args.Path, topic: g.args.topic(), ramp: g.args.Ramp.D(), tokens: g.tokens}
		g.engine.hold(holding, p, g.book)
	})
	g.out = newOutbox(pipe)
	if g.ramped(until) {
		g.load(until)
	}
	memory := rss() // while the connections are there
	release()
	held.Wait()
	own.Wait()
	close(g.out.frames)
	return g.lastFrame(pipe, g.measured(memory))
}

// login proves the credentials before any connection is opened.
func (g *generator) login(ctx context.Context) error {
	for try := 1; ; try++ {
		_, err := g.tokens.get(ctx)
		if err == nil {
			return nil
		}
		if try == loginTries || !pause(ctx, time.Now().Add(loginPause)) {
			return fmt.Errorf("login at the target failed %d times: %w", try, err)
		}
	}
}

// ramped waits until every connection was tried once and says so; false when it is time to stop.
func (g *generator) ramped(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-g.book.ramped:
	}
	end := time.Now()
	g.ramp = end.Sub(g.began)
	// Handshakes leave large stacks behind: two collections halve them twice before measuring begins.
	runtime.GC()
	debug.FreeOSMemory()
	open, _ := g.book.held()
	r := Readiness{Connected: open, Wanted: g.args.Connections, From: g.book.firstHeld(), To: end.UTC()}
	if r.From.IsZero() {
		r.From = r.To
	}
	g.out.put("ready", r)
	return true
}

// load publishes and measures until ctx ends, then lets what is on its way arrive.
func (g *generator) load(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() { g.seconds(ctx) })
	if g.pub != nil {
		work.Go(func() { g.pub.run(ctx, patience) })
	}
	<-ctx.Done()
	work.Wait()
	end := time.Now().Add(drain)
	for time.Now().Before(end) {
		if expected, got := g.book.settled(); got >= expected {
			return
		}
		pause(context.WithoutCancel(ctx), time.Now().Add(10*time.Millisecond))
	}
}

// seconds sends a point every second, on an absolute schedule.
func (g *generator) seconds(ctx context.Context) {
	due, before, cpu := time.Now(), time.Now(), cpuTime()
	for {
		due = due.Add(time.Second)
		if !pause(ctx, due) {
			return
		}
		now, used := time.Now(), cpuTime()
		open, _ := g.book.held()
		n, p95 := g.book.delivery.second()
		point := drills.LoadPoint{At: now.UTC(), Open: open, Received: n, P95: p95}
		if len(g.series) < longestSeries {
			g.series = append(g.series, point)
		}
		g.book.limits.seconds++
		if (used - cpu).Seconds() > cpuLimit*now.Sub(before).Seconds()*float64(runtime.GOMAXPROCS(0)) {
			g.book.limits.busy++
		}
		before, cpu = now, used
		g.out.put("second", point)
	}
}

var errNobodyReads = errors.New("the result could not be handed over: nobody reads it")

// lastFrame hands the result over, but does not wait for an orchestrator that has stopped reading.
func (g *generator) lastFrame(pipe *drills.Pipe, m drills.LoadMeasured) error {
	sent := make(chan error, 1)
	go func() {
		<-g.out.empty
		sent <- pipe.Send("done", m)
	}()
	timer := time.NewTimer(lastWord)
	defer timer.Stop()
	select {
	case err := <-sent:
		return err
	case <-timer.C:
		return errNobodyReads
	}
}
