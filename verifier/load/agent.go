package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
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
	lean(a)
	g, err := newGenerator(ctx, a, spawnSelf)
	if err != nil {
		_ = pipe.Send("error", trouble{err.Error()})
		return err
	}
	return g.run(ctx, pipe)
}

// generator runs one load from ramp to result.
type generator struct {
	args    Args
	engine  string
	shards  shards
	account *account
	tokens  *session
	client  *http.Client
	pub     *publisher // nil: nothing is published
	lag     *timing
	limits  limits
	began   time.Time
	ramp    time.Duration // that the ramp took
	series  []drills.LoadPoint
	out     outbox
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

func newTransport() *http.Transport {
	return &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, MaxIdleConnsPerHost: unanswered}
}

func newGenerator(ctx context.Context, a Args, spawn spawn) (*generator, error) {
	g := &generator{args: a, client: newClient(), lag: newTiming()}
	g.tokens = &session{client: g.client, login: a.Login}
	g.limits.nofile = raiseFiles()
	secure, err := a.TLS.Config()
	if err != nil {
		return nil, err
	}
	targets, err := resolve(ctx, a.Targets)
	if err != nil {
		return nil, err
	}
	p := plan{Args: a, secure: secure, tokens: g.tokens}
	if p.sources, err = sourcesFor(a, targets); err != nil {
		return nil, err
	}
	g.limits.crowded = crowded(a.Connections, len(targets), len(p.sources))
	shares := split(p, g.limits.nofile)
	g.account = newAccount(len(shares))
	g.shards.account = g.account
	for _, one := range shares {
		g.shards.holders = append(g.shards.holders, g.holder(one, len(shares) > 1, spawn))
	}
	g.engine = engineFor(a).name()
	if len(shares) > 1 {
		g.engine = fmt.Sprintf("%s, %d processes", g.engine, len(shares))
	}
	if a.Publish != nil {
		g.pub = &publisher{spec: *a.Publish, account: g.account, tokens: g.tokens, client: g.client, late: newTiming()}
	}
	return g, nil
}

func (g *generator) holder(p plan, apart bool, spawn spawn) holder {
	if !apart {
		return &here{engine: engineFor(g.args), plan: p, marker: g.account.marker}
	}
	return &elsewhere{spawn: spawn, spec: shareSpec{Args: g.args, First: p.first, Count: p.count, Source: p.sources, Marker: g.account.marker}}
}

func (g *generator) run(ctx context.Context, pipe *drills.Pipe) error {
	until, stop := whileWanted(ctx, pipe, g.args.Lease.D(), nil)
	defer stop()
	defer g.client.CloseIdleConnections()
	if err := g.tokens.prove(until); err != nil {
		_ = pipe.Send("error", trouble{err.Error()})
		return err
	}
	// Connections outlive "until": what was published just before it still has to arrive.
	holding, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	var own sync.WaitGroup
	g.began = time.Now()
	own.Go(func() { watchLag(holding, g.lag) })
	g.shards.start(holding)
	g.out = newOutbox(pipe)
	if g.ramped(until) {
		g.load(until)
	}
	m := g.memory() // while the connections are there
	release()
	g.shards.work.Wait()
	own.Wait()
	close(g.out.frames)
	return lastFrame(g.out, pipe, g.measured(m))
}

// whileWanted returns a context that ends when the owner of the pipe says stop, goes away or lets the lease run out, and a
// function that ends the watching and waits for it; it may be called more than once. Other frames go to each, if there is one.
func whileWanted(ctx context.Context, pipe *drills.Pipe, lease time.Duration, each func(drills.Frame)) (context.Context, func()) {
	until, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer stop()
		pipe.Watch(until, lease, each)
	}()
	return until, func() { stop(); <-watched }
}

// ramped waits until every connection was tried once and says so; false when it is time to stop.
func (g *generator) ramped(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-g.account.ramped:
	}
	end := time.Now()
	g.ramp = end.Sub(g.began)
	open, _, first := g.account.held()
	r := Readiness{Connected: open, Wanted: g.args.Connections, From: first, To: end.UTC()}
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
	if g.args.Storm > 0 && pause(ctx, time.Now().Add(g.args.Storm.D())) {
		g.shards.cut()
	}
	<-ctx.Done()
	work.Wait()
	end := time.Now().Add(drain)
	for time.Now().Before(end) {
		if expected, got, told := g.account.settled(); told && got >= expected {
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
		open, _, _ := g.account.held()
		h := g.account.since().histogram()
		point := drills.LoadPoint{At: now.UTC(), Open: open, Received: h.TotalCount(), P95: at(h, 95)}
		if len(g.series) < longestSeries {
			g.series = append(g.series, point)
		}
		g.limits.seconds++
		if (used - cpu).Seconds() > cpuLimit*now.Sub(before).Seconds()*float64(runtime.GOMAXPROCS(0)) {
			g.limits.busy++
		}
		before, cpu = now, used
		g.out.put("second", point)
	}
}

var errNobodyReads = errors.New("the result could not be handed over: nobody reads it")

// lastFrame hands the result over, but does not wait for an orchestrator that has stopped reading.
func lastFrame(o outbox, pipe *drills.Pipe, m drills.LoadMeasured) error {
	sent := make(chan error, 1)
	go func() {
		<-o.empty
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
