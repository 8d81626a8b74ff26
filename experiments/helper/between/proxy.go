package between

import (
	"bufio"
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	// drain is what exchanges under way may take to end once the fault is lifted.
	drain = time.Second
	// dialLimit bounds a connection to the dependency.
	dialLimit = 30 * time.Second
)

// Config is what a proxy needs; all of it.
type Config struct {
	Protocol string
	Rules    []Rule
	Seed     uint64 // of the lots
	// Original tells where a connection that was led here was going.
	Original func(net.Conn) (netip.AddrPort, error)
	// Dial reaches that place without being led here again.
	Dial func(context.Context, netip.AddrPort) (net.Conn, error)
}

// Counts is what a proxy saw and did so far.
type Counts struct {
	Connections uint64            `json:"connections"`
	Asked       uint64            `json:"asked"`               // requests, or turns of a protocol that is not read
	Matched     uint64            `json:"matched"`             // by a rule
	Hit         uint64            `json:"hit"`                 // by a fault: what proves it
	By          map[string]uint64 `json:"by,omitempty"`        // hits, by what was done
	Foreign     uint64            `json:"foreign,omitempty"`   // connections that are not HTTP/1.x, passed as they came
	Unreached   uint64            `json:"unreached,omitempty"` // attempts to reach the dependency that failed
	Broken      uint64            `json:"broken,omitempty"`    // connections that were cut in the middle when the fault was lifted
}

// Proxy serves the connections that are led to it.
type Proxy struct {
	cfg      Config
	matchers []matcher
	ctx      context.Context // of the dials; ends last
	cancel   context.CancelFunc
	lifted   chan struct{} // closed when the fault is over: what is held goes on
	wg       sync.WaitGroup

	mu     sync.Mutex
	rng    *rand.Rand
	counts Counts
	links  map[*link]struct{}
	doors  []net.Listener
	over   bool
}

// New makes a proxy; Close ends it.
func New(cfg Config) *Proxy {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{
		cfg: cfg, ctx: ctx, cancel: cancel, lifted: make(chan struct{}), links: map[*link]struct{}{},
		rng: rand.New(rand.NewPCG(cfg.Seed, 0x73696d)), counts: Counts{By: map[string]uint64{}},
	}
	for _, r := range cfg.Rules {
		p.matchers = append(p.matchers, newMatcher(r.Match))
	}
	return p
}

// Serve takes connections from a listener, which is the proxy's from then on, until Close.
func (p *Proxy) Serve(door net.Listener) {
	p.mu.Lock()
	p.doors = append(p.doors, door)
	p.mu.Unlock()
	p.wg.Go(func() {
		for {
			c, err := door.Accept()
			if err != nil {
				return
			}
			p.take(c)
		}
	})
}

func (p *Proxy) take(c net.Conn) {
	to, err := p.cfg.Original(c)
	if err != nil || to.String() == c.LocalAddr().String() {
		_ = c.Close() // it was not led here: somebody knocks at our own port
		return
	}
	l := &link{proxy: p, client: c, to: to, cr: bufio.NewReader(c)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		_ = c.Close()
		return
	}
	p.counts.Connections++
	p.links[l] = struct{}{}
	p.wg.Go(func() {
		defer p.forget(l)
		if p.cfg.Protocol == TCP {
			l.turns()
		} else {
			l.requests()
		}
	})
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
	l.close()
}

// Close lifts the fault: nobody is let in any more, what is held goes on, idle connections close, and those in the middle of
// an exchange have a moment to end it. It returns when nothing of the proxy is left.
func (p *Proxy) Close() error {
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		return nil
	}
	p.over = true
	close(p.lifted)
	for _, d := range p.doors {
		_ = d.Close() // nobody is led there any more
	}
	for l := range p.links {
		if l.tunnel {
			p.counts.Broken++ // it has no end that we could wait for
		}
		if !l.busy {
			l.close()
		}
	}
	p.mu.Unlock()
	late := time.AfterFunc(drain, p.cut)
	defer late.Stop()
	p.wg.Wait()
	p.cancel()
	return nil
}

// cut ends what has not ended by itself.
func (p *Proxy) cut() {
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if l.busy {
			p.counts.Broken++
		}
		l.close()
	}
}

// Counts tells what happened so far.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.By = maps.Clone(c.By)
	return c
}

func (p *Proxy) count(f func(*Counts)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.counts)
}

// hit counts what a fault did.
func (p *Proxy) hit(what string) {
	p.count(func(c *Counts) {
		c.Hit++
		c.By[what]++
	})
}

// decide finds the rule for an exchange and draws its lot; nil: it passes. A turn of a protocol that is not read has no
// request, and every rule is for it.
func (p *Proxy) decide(req *http.Request) *Rule {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Asked++
	if p.over {
		return nil
	}
	for i, m := range p.matchers {
		if req != nil && !m.fits(req) {
			continue
		}
		p.counts.Matched++
		if p.rng.Float64() < p.cfg.Rules[i].Share {
			return &p.cfg.Rules[i]
		}
		return nil
	}
	return nil
}

// hold waits until an instant, or until the fault is lifted.
func (p *Proxy) hold(until time.Time) {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.lifted:
	}
}

func (p *Proxy) reach(to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(p.ctx, dialLimit)
	defer cancel()
	c, err := p.cfg.Dial(ctx, to)
	if err != nil {
		p.count(func(c *Counts) { c.Unreached++ })
	}
	return c, err
}
