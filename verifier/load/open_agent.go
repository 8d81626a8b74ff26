package load

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier/load/open"
)

// firstAnswer is how long after the ramp the first good answer is waited for.
const firstAnswer = 5 * time.Second

// OpenMain is the agent open-load: it reads OpenArgs as its spec, sends "ready" (Readiness) when its ramp is over and an
// operation was done well, "second" (drills.LoadPoint) every second, and "done" (drills.LoadMeasured) once it is told to
// stop, its input ends or its lease runs out. "error" is sent when it cannot begin.
func OpenMain(ctx context.Context, in io.Reader, out io.Writer) error {
	pipe := drills.NewPipe(in, out)
	var a OpenArgs
	err := pipe.Spec(&a)
	if err == nil {
		err = a.check()
	}
	var flows *openFlows
	if err == nil {
		flows, err = newOpenFlows(a)
	}
	if err != nil {
		_ = pipe.Send("error", trouble{err.Error()})
		return err
	}
	g := &openGenerator{args: a, flows: flows, engine: open.NewEngine(flows.flows, a.Ramp.D())}
	g.limits.nofile = raiseFiles()
	return g.run(ctx, pipe)
}

// openGenerator runs one open-model load from ramp to result.
type openGenerator struct {
	args   OpenArgs
	flows  *openFlows
	engine *open.Engine
	limits limits
	series []drills.LoadPoint
	out    outbox
}

func (g *openGenerator) run(ctx context.Context, pipe *drills.Pipe) error {
	until, stop := whileWanted(ctx, pipe, g.args.Lease.D(), nil)
	defer stop()
	if err := g.flows.login(until); err != nil {
		_ = pipe.Send("error", trouble{err.Error()})
		return err
	}
	g.out = newOutbox(pipe)
	var work sync.WaitGroup
	began := time.Now()
	work.Go(func() { g.engine.Run(until, patience) })
	work.Go(func() { g.ready(until, began) })
	work.Go(func() { g.seconds(until) })
	work.Wait()
	m := g.measured(g.flows.close(ctx))
	close(g.out.frames)
	return lastFrame(g.out, pipe, m)
}

// ready says when the ramp is over, with the number of connections on which something was done well by then.
func (g *openGenerator) ready(ctx context.Context, began time.Time) {
	ramp := began.Add(g.args.Ramp.D())
	if !pause(ctx, ramp) {
		return
	}
	held, first := g.engine.Held()
	for held == 0 && time.Since(ramp) < firstAnswer && pause(ctx, time.Now().Add(lagEvery)) {
		held, first = g.engine.Held()
	}
	r := Readiness{Connected: held, Wanted: g.wanted(), From: first.UTC(), To: time.Now().UTC()}
	if held == 0 {
		r.From = r.To
	}
	g.out.put("ready", r)
}

func (g *openGenerator) wanted() int {
	n := 0
	for _, f := range g.args.Flows {
		n += f.Connections
	}
	return n
}

// seconds sends a point every second, on an absolute schedule.
func (g *openGenerator) seconds(ctx context.Context) {
	due, before, cpu := time.Now(), time.Now(), cpuTime()
	for {
		due = due.Add(time.Second)
		if !pause(ctx, due) {
			return
		}
		now, used := time.Now(), cpuTime()
		good, _, p95, _ := g.engine.Second()
		held, _ := g.engine.Held()
		point := drills.LoadPoint{At: now.UTC(), Open: held, Received: good, P95: drills.Duration(p95)}
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

// saturated says, in words, what the generator could not do; empty when it kept up.
func (g *openGenerator) saturated(results []open.Result) string {
	var out []string
	if n := g.wanted(); g.limits.nofile > 0 && uint64(n)+reserve > g.limits.nofile {
		out = append(out, fmt.Sprintf("this process may open %d files, too few for %d connections", g.limits.nofile, n))
	}
	for _, r := range results {
		if r.Lag > lagLimit {
			out = append(out, fmt.Sprintf("%s: up to %s behind schedule with connections free (p99)", r.Name, r.Lag.Round(time.Millisecond)))
		}
		if n := r.Count[open.Observer.String()]; n > 0 {
			out = append(out, fmt.Sprintf("%s: %d operations could not be sent for want of files, ports or memory of the generator", r.Name, n))
		}
	}
	if g.limits.busy > 0 {
		out = append(out, fmt.Sprintf("used up its CPU (%d cores) in %d of %d s", runtime.GOMAXPROCS(0), g.limits.busy, g.limits.seconds))
	}
	return strings.Join(out, "; ")
}
