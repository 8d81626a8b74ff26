package verifier

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

// CanaryConfig is what NewCanary needs. Members is asked, at read-back, for the members' addresses as seen from the
// canary's place; it is not needed where the spec lists members. Expand and Log may be left out.
type CanaryConfig struct {
	Name     string
	Spec     drills.CanarySpec
	Run      string
	Launcher drills.Launcher
	Samples  drills.Samples
	Expand   func(string) (string, error)
	Members  func(context.Context) ([]MemberAddr, error)
	Rates    *Rates // how often targets may be asked, learned before; may be left out
	Log      *zap.Logger
}

// Canary writes numbered records through the whole run, reads them back and purges them. It is a drills.Observer and a
// drills.Reader. Redis keys expire after an hour, so that a canary that was killed leaves nothing for longer; a
// PostgreSQL table that was left behind carries the run in its name and comment and can be dropped.
type Canary struct {
	cfg   CanaryConfig
	file  string
	agent *agent
	reply chan drills.Frame

	mu     sync.Mutex
	ledger Ledger
	raw    *ledgerWriter
	err    error
}

// CanaryRawName is the name of a canary's raw file.
func CanaryRawName(canary string) string { return "canary-" + canary + ".csv" }

// NewCanary makes the observer; nothing is started yet.
func NewCanary(cfg CanaryConfig) *Canary {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Expand == nil {
		cfg.Expand = noExpand
	}
	return &Canary{cfg: cfg, file: CanaryRawName(cfg.Name), reply: make(chan drills.Frame, 4)}
}

// Start starts the agent and returns once it is writing. An error means that it cannot write at all: a wrong password,
// no such host, a table that cannot be made.
func (c *Canary) Start(ctx context.Context, emit func(drills.Event)) error {
	spec, err := c.spec()
	if err != nil {
		return err
	}
	spec, said := c.cfg.Rates.canary(c.cfg.Name, spec)
	if said != "" {
		emit(slowedFinding("canary", c.cfg.Name, said))
	}
	place := placeOf(spec.From, "canary-"+c.cfg.Name)
	job := canaryJob{Name: c.cfg.Name, Run: c.cfg.Run, Realtime: place.Realtime, Spec: spec}
	dec := newDecoder()
	c.agent, err = startAgent(ctx, c.cfg.Launcher, place, "canary", job, c.cfg.Log,
		func(r readiness) error { return c.open(spec, place, r) },
		func(f drills.Frame) error { return c.take(f, dec) })
	return err
}

// spec is the spec as the agent gets it: secrets expanded, defaults and names filled in.
func (c *Canary) spec() (drills.CanarySpec, error) {
	s, err := Expand(c.cfg.Expand).canary(c.cfg.Spec)
	if err != nil {
		return s, fmt.Errorf("canary %s: %w", c.cfg.Name, err)
	}
	withCanaryDefaults(&s)
	if s.Keys == "" {
		s.Keys = "simulacro:{run}:" + c.cfg.Name + ":*"
	}
	if s.Table == "" {
		s.Table = "simulacro.canary_" + unfit.ReplaceAllString(strings.ToLower(c.cfg.Name), "_") + "_{run}"
	}
	switch s.Kind {
	case "http":
		return s, httpComplete(c.cfg.Name, s)
	case drills.PubSub:
		return fanOutSpec(c.cfg.Name, c.cfg.Run, s)
	}
	if named := namespace(s); !strings.Contains(named, "{run}") {
		return s, drills.Errorf(drills.Input, "put {run} into its keys or table", "canary %s would share its namespace with other runs", c.cfg.Name)
	}
	if !strings.HasSuffix(s.Keys, "*") {
		s.Keys += ":*"
	}
	s.Keys = strings.ReplaceAll(s.Keys, "{run}", c.cfg.Run)
	s.Table = tableName(s.Table, c.cfg.Run)
	return s, nil
}

// namespace is where the canary writes: nothing else is ever touched or purged.
func namespace(s drills.CanarySpec) string {
	switch s.Store() {
	case "redis":
		return s.Keys
	case "postgres":
		return s.Table
	case "http":
		return s.Write.URL
	case drills.PubSub:
		return s.Topic
	}
	return ""
}

func (c *Canary) open(s drills.CanarySpec, place drills.Place, r readiness) error {
	now := drills.NewClock()
	c.ledger.Meta = CanaryMeta{
		Schema: CanarySchema, Name: c.cfg.Name, Run: c.cfg.Run, Kind: s.Kind, Place: placeName(place),
		Connection: s.Connection, Every: s.Every, Timeout: s.Timeout, Namespace: namespace(s), Registers: s.Registers, Clients: s.Clients,
		Mono: now.Mono, Wall: now.Wall, Realtime: r.Realtime,
	}
	if s.Kind == drills.PubSub {
		c.ledger.Meta.Receivers = receivers(s)
	}
	out, err := c.cfg.Samples.Create(c.file)
	if err == nil {
		c.raw, err = newLedgerWriter(out, c.ledger.Meta)
	}
	if err != nil {
		return fmt.Errorf("raw file of canary %s: %w", c.cfg.Name, err)
	}
	return nil
}

// take stores samples and passes answers to commands on.
func (c *Canary) take(f drills.Frame, dec *decoder) error {
	switch f.Type {
	case "samples":
		var b batch
		if err := unmarshal(f, &b); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		err := dec.each(b, 1, func(_ int, s Sample) {
			c.ledger.Writes = append(c.ledger.Writes, s)
			c.note(c.raw.write(s))
		})
		c.note(c.raw.flush())
		return err
	case "arrivals":
		var a arrivals
		if err := unmarshal(f, &a); err != nil {
			return err
		}
		return c.receive(a)
	case "halted", "holdings", "purged":
		c.reply <- f
	}
	return nil
}

// receive stores what the clients of a websocket canary received.
func (c *Canary) receive(a arrivals) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range a.Rows {
		x := arrival{client: int(r[0]), seq: r[1], at: r[2], altered: r[3] != 0}
		if err := c.ledger.isClient(x.client); err != nil {
			return err
		}
		c.ledger.Arrivals = append(c.ledger.Arrivals, x)
		c.note(c.raw.arrival(x, c.ledger.Meta.Receivers[x.client]))
	}
	for _, x := range a.Links {
		if err := c.ledger.isClient(x.Client); err != nil {
			return err
		}
		c.ledger.Links = append(c.ledger.Links, x)
		c.note(c.raw.link(x, c.ledger.Meta.Receivers[x.Client]))
	}
	c.note(c.raw.flush())
	return nil
}

// note remembers the first error that spoils the measurement. The lock is held.
func (c *Canary) note(err error) {
	if c.err == nil && err != nil {
		c.err = err
	}
}

// command sends one and waits for its answer.
func (c *Canary) command(ctx context.Context, kind string, job any, answer string) (drills.Frame, error) {
	if err := c.agent.failure(); err != nil {
		return drills.Frame{}, fmt.Errorf("the canary died: %w", err)
	}
	if err := c.agent.send(kind, job); err != nil {
		return drills.Frame{}, err
	}
	for {
		select {
		case f := <-c.reply:
			if f.Type == answer {
				return f, nil
			}
		case <-c.agent.ended:
			return drills.Frame{}, fmt.Errorf("the canary died: %w", errors.Join(c.agent.failure(), errors.New(kind+" was not answered")))
		case <-ctx.Done():
			return drills.Frame{}, context.Cause(ctx)
		}
	}
}

func (c *Canary) members(ctx context.Context) ([]MemberAddr, error) {
	listed, err := Expand(c.cfg.Expand).list(c.cfg.Spec.Members)
	if err != nil {
		return nil, err
	}
	var out []MemberAddr
	for _, a := range listed {
		out = append(out, MemberAddr{Name: a, Address: a})
	}
	if len(out) == 0 && c.cfg.Members != nil {
		out, err = c.cfg.Members(ctx)
	}
	if err == nil && len(out) == 0 {
		err = errors.New("no members to read back from")
	}
	return out, err
}

// ReadBack stops writing, waits (30 s at most) until one member is primary and the others follow it, and reads every
// number from every member. An error spoils this canary's measurement; it is in CanaryMeasured as well.
func (c *Canary) ReadBack(ctx context.Context, _ drills.Timing) error {
	read := c.readBack
	switch {
	case c.cfg.Spec.IsRegister():
		read = c.haltRegister
	case !c.cfg.Spec.IsStored():
		read = c.haltFanOut
	}
	err := read(ctx)
	if err != nil {
		err = fmt.Errorf("read canary %s back: %w", c.cfg.Name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(err)
	return err
}

// haltFanOut stops publishing and waits for late messages. Nothing is stored, so there is nothing else to read back.
func (c *Canary) haltFanOut(ctx context.Context) error {
	from := drills.Monotonic()
	if _, err := c.command(ctx, "halt", nil, "halted"); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.Back = &holdings{From: from, To: drills.Monotonic()}
	return c.raw.back(*c.ledger.Back)
}

func (c *Canary) readBack(ctx context.Context) error {
	if _, err := c.command(ctx, "halt", nil, "halted"); err != nil {
		return err
	}
	members, err := c.members(ctx)
	if err != nil {
		return err
	}
	f, err := c.command(ctx, "read", readJob{Members: members, Within: drills.Duration(convergeWithin)}, "holdings")
	if err != nil {
		return err
	}
	var h holdings
	if err := unmarshal(f, &h); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.Back = &h
	return c.raw.back(h)
}

// Finish purges where asked to, ends the agent and returns the measured event.
func (c *Canary) Finish(ctx context.Context, t drills.Timing) ([]drills.Event, error) {
	if c.agent == nil {
		return nil, nil
	}
	stored := c.cfg.Spec.IsStored()
	var p purged
	if stored {
		p = c.purge(ctx)
	}
	stopped := c.agent.stop(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if stored {
		c.ledger.Purge = &p
		c.note(c.raw.purge(p))
	}
	c.note(c.raw.close())
	sum, err := c.cfg.Samples.Digest(c.file)
	c.note(err)
	if err := c.agent.failure(); err != nil {
		c.note(fmt.Errorf("the canary died: %w", err))
	}
	if c.cfg.Spec.IsRegister() {
		return []drills.Event{c.registerEvent(sum)}, stopped
	}
	m := c.ledger.Settle(t)
	m.Raw, m.SHA256 = c.file, sum
	if c.err != nil {
		m.Error = c.err.Error()
	}
	return []drills.Event{{At: time.Now().UTC(), Kind: drills.EvMeasured, Canary: &m}}, stopped
}

func (c *Canary) purge(ctx context.Context) purged {
	if !c.cfg.Spec.Purge {
		return purged{Proof: "left in place, as the system file asks (purge: false); Redis keys expire within the hour"}
	}
	var p purged
	members, err := c.members(ctx)
	if err == nil {
		var f drills.Frame
		if f, err = c.command(ctx, "purge", readJob{Members: members, Within: drills.Duration(convergeWithin)}, "purged"); err == nil {
			err = unmarshal(f, &p)
		}
	}
	if err != nil {
		p = purged{Proof: clip("not purged: " + err.Error())}
	}
	return p
}
