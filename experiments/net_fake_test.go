package experiments

import (
	"context"
	"encoding/json"
	"io"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// fakeHelper is a launcher whose processes are goroutines. The namespace's tables are shared by all of them.
type fakeHelper struct {
	t      *testing.T
	mu     sync.Mutex
	places []drills.Place
	spec   helper.PartitionSpec
	tables map[string]bool
	qdiscs map[string]bool // netem, by the tables that they belong to
	swept  int
	refuse error                // Start fails
	run    func(p *fakeProcess) // what a partition helper does after its rules are in force
	way    string               // what the helper says of its mechanism
	not    string               // and of why it is not netem
	fail   string               // the partition helper answers with an error instead
}

type fakeProcess struct {
	h      *fakeHelper
	in     chan drills.Frame
	out    chan drills.Frame
	closed chan struct{}
	once   sync.Once
}

func (h *fakeHelper) Start(ctx context.Context, p drills.Place, argv []string) (drills.Stream, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse != nil {
		return nil, h.refuse
	}
	if d := cmp.Diff([]string{"_agent", "helper"}, argv); d != "" {
		h.t.Error(d)
	}
	h.places = append(h.places, p)
	s := &fakeProcess{h: h, in: make(chan drills.Frame, 10), out: make(chan drills.Frame, 100), closed: make(chan struct{})}
	go s.main()
	return s, nil
}

func (p *fakeProcess) Send(f drills.Frame) error {
	select {
	case p.in <- f:
		return nil
	case <-p.closed:
		return io.ErrClosedPipe
	}
}

func (p *fakeProcess) Recv() (drills.Frame, error) {
	f, ok := <-p.out
	if !ok {
		return f, io.EOF
	}
	return f, nil
}

func (p *fakeProcess) Close(context.Context) error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *fakeProcess) say(kind string, data any) {
	b, err := json.Marshal(data)
	if err != nil {
		p.h.t.Error(err)
	}
	p.out <- drills.Frame{Type: kind, Data: b}
}

func (p *fakeProcess) main() {
	defer close(p.out)
	var spec drills.Frame
	select {
	case spec = <-p.in:
	case <-p.closed:
		return
	}
	var kind struct{ Kind string }
	if err := json.Unmarshal(spec.Data, &kind); err != nil {
		p.h.t.Error(err)
	}
	if kind.Kind == helper.KindInspect || kind.Kind == helper.KindSweep {
		p.say("ready", p.h.inspected(spec.Data, kind.Kind == helper.KindSweep))
		return
	}
	p.h.mu.Lock()
	p.h.spec = helper.PartitionSpec{}
	_ = json.Unmarshal(spec.Data, &p.h.spec) // every fault's spec names its op alike
	name := helper.TablePrefix + p.h.spec.Op
	p.h.mu.Unlock()
	if p.h.fail != "" {
		p.say("error", helper.Failure{Message: p.h.fail})
		return
	}
	p.h.table(name, true)
	defer p.h.table(name, false)
	from := drills.Monotonic()
	p.say("ready", helper.Applied{AppliedFrom: from, AppliedTo: drills.Monotonic(), Table: name, Way: p.h.way, NotNetem: p.h.not})
	p.h.run(p)
}

// inspected is what is there, after a sweep as the helper does it where that was asked for.
func (h *fakeHelper) inspected(spec json.RawMessage, sweep bool) (seen helper.Inspected) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var s helper.SweepSpec
	_ = json.Unmarshal(spec, &s)
	if table := helper.TablePrefix + s.Op; sweep && !h.tables[table] {
		delete(h.qdiscs, table)
	}
	if sweep {
		h.swept++
	}
	for name := range h.tables {
		seen.Tables = append(seen.Tables, name)
	}
	for name := range h.qdiscs {
		seen.Qdiscs = append(seen.Qdiscs, helper.QdiscTag(name))
	}
	return seen
}

func (h *fakeHelper) table(name string, there bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.tables, name)
	if there {
		h.tables[name] = true
	}
}

// dropping is a helper that drops a packet and works until it is told to stop.
func dropping(p *fakeProcess) {
	p.say("beat", helper.Beat{Dropped: 2, Peers: map[string]uint64{"10.0.0.2": 2}})
	why := "eof"
	select {
	case f := <-p.in:
		why = f.Type
	case <-p.closed:
	}
	now := drills.Monotonic()
	p.say("done", helper.Done{Beat: helper.Beat{Dropped: 7, Peers: map[string]uint64{"10.0.0.2": 7}}, Why: why, UndoneFrom: now, UndoneMono: now})
}
