package experiments

import (
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
	"github.com/eevans-d/simulacro/experiments/helper/between"
)

// Dependency is where a fault on exchanges stands: between the target and what it asks, or between the target and who asks it.
type Dependency struct {
	On    string          `yaml:"on" json:"on,omitempty"`     // a component
	Host  string          `yaml:"host" json:"host,omitempty"` // or a name, resolved inside the target
	Ports []int           `yaml:"ports" json:"ports"`         // the dependency's; with side: in the target's own
	Side  string          `yaml:"side" json:"side"`           // out: what the target asks; in: what it is asked
	Prove drills.Duration `yaml:"prove" json:"prove"`         // how long to wait for the first exchange that is hit
}

func dependency() Dependency { return Dependency{Side: helper.Out, Prove: proveWithin} }

// maxProve bounds the wait for a proof: the drill's clock goes on meanwhile.
const maxProve = drills.Duration(2 * time.Minute)

func (d Dependency) validate(fault string) error {
	bad := complaint(fault).bad
	switch {
	case d.Side != helper.Out && d.Side != helper.In:
		return bad("side: must be out (what the target asks) or in (what it is asked), found %q", d.Side)
	case d.On != "" && d.Host != "":
		return bad("name the other side with either on: or host:")
	case d.Side == helper.Out && d.On == "" && d.Host == "":
		return bad("name the dependency with on: (a component) or host: (a name such as api.telegram.org)")
	case len(d.Ports) == 0:
		return bad("ports: the port that is asked is required")
	case d.Prove <= 0 || d.Prove > maxProve:
		return bad("prove: must be above zero and at most %s, found %s", maxProve, d.Prove)
	}
	return Path{Direction: d.Side, Ports: d.Ports}.validate(fault)
}

func (d Dependency) path() Path {
	p := Path{Direction: d.Side, Protocol: helper.TCP, Ports: d.Ports}
	if d.Side == helper.In {
		p.Ports, p.OwnPorts = nil, d.Ports
	}
	if d.On != "" {
		p.Peers = []drills.Target{{Component: d.On}}
	}
	if d.Host != "" {
		p.Hosts = []string{d.Host}
	}
	return p
}

// HTTPFault spoils a share of the HTTP requests between the targets and a dependency: another status, a late answer, none, or
// another body.
type HTTPFault struct {
	Dependency `yaml:",inline"`
	Rules      []HTTPRule `yaml:"rules" json:"rules"` // the first that matches decides
}

// HTTPRule is one rule as drills write it.
type HTTPRule struct {
	Match  between.Match   `yaml:"match" json:"match"`
	Share  *Percent        `yaml:"share" json:"share,omitempty"` // default all
	Delay  drills.Duration `yaml:"delay" json:"delay,omitempty"`
	Status *between.Status `yaml:"status" json:"status,omitempty"`
	Abort  string          `yaml:"abort" json:"abort,omitempty"`
	Body   *HTTPBody       `yaml:"body" json:"body,omitempty"`
}

// HTTPBody is what becomes of an answer's body; exactly one.
type HTTPBody struct {
	Replace  *string `yaml:"replace" json:"replace,omitempty"`
	Truncate *int64  `yaml:"truncate" json:"truncate,omitempty"` // bytes
	Corrupt  Percent `yaml:"corrupt" json:"corrupt,omitempty"`   // of its bytes
}

func httpFaultKind() drills.Kind {
	return exchangeKind("http-fault", "Spoil a share of the HTTP requests between a member and a dependency: status, delay, abort, body",
		func() *HTTPFault { return &HTTPFault{Dependency: dependency()} })
}

func exchangeKind[F drills.Fault](kind, summary string, blank func() F) drills.Kind {
	return kindOf(drills.Info{
		Kind:     kind,
		Summary:  summary,
		Class:    drills.ClassUndo,
		Verbs:    []string{verbExchange, verbHeal},
		Duration: "required",
		Proof:    "exchanges that our proxy in the path hit; one that met none is not proven",
		Undo:     "the rules are removed and what is held goes on; both also vanish when the helper dies, freezes, loses its stream or its lease",
	}, blank)
}

// Validate checks the parameters.
func (f *HTTPFault) Validate() error {
	if err := f.validate("http-fault"); err != nil {
		return err
	}
	if slices.Contains(f.Ports, 443) || slices.Contains(f.Ports, 8443) {
		return drills.Errorf(drills.Input, "use exchange-fault, which delays and aborts what it cannot read",
			"http-fault: what goes to an HTTPS port is encrypted, so nobody in the path can read or change it")
	}
	if err := between.Validate(between.HTTP, f.rules()); err != nil {
		return drills.Wrap(drills.Input, err, "http-fault: rules", "for example `rules: [{match: {path: /bot*}, share: 25%, status: {code: 429, retry-after: 3s}}]`")
	}
	return nil
}

func (f *HTTPFault) rules() []between.Rule {
	var out []between.Rule
	for _, r := range f.Rules {
		b := between.Rule{Match: r.Match, Share: shareOf(r.Share), Delay: r.Delay, Status: r.Status, Abort: r.Abort}
		if r.Body != nil {
			b.Body = &between.Body{Replace: r.Body.Replace, Truncate: r.Body.Truncate, Corrupt: float64(r.Body.Corrupt)}
		}
		out = append(out, b)
	}
	return out
}

// shareOf is all of them where nothing is said.
func shareOf(p *Percent) float64 {
	if p == nil {
		return 1
	}
	return float64(*p)
}

// Plan puts a proxy into each target's path.
func (f *HTTPFault) Plan(s drills.Scene) ([]drills.Change, error) {
	return onExchanges(s, "http-fault", f.Dependency, between.HTTP, f.rules())
}

// exchangeArgs are the arguments of net.exchange.
type exchangeArgs struct {
	Mark  string        `json:"mark"`
	Peers []peerAddress `json:"peers,omitempty"`
	helper.Path
	Exchange string          `json:"exchange"` // the protocol that is read
	Rules    []between.Rule  `json:"rules"`
	Seed     uint64          `json:"seed"`
	Prove    drills.Duration `json:"prove"`
}

func (a exchangeArgs) spec() helper.ExchangeSpec {
	return helper.ExchangeSpec{
		Kind: helper.KindExchange, Op: a.Mark, Lease: drills.Duration(helperLease), Seed: a.Seed,
		Path: withPeers(a.Path, a.Peers), Exchange: a.Exchange, Rules: a.Rules,
	}
}

// onExchanges plans one proxy for each target.
func onExchanges(s drills.Scene, fault string, d Dependency, protocol string, rules []between.Rule) ([]drills.Change, error) {
	if err := needDuration(s, fault+" stays in force"); err != nil {
		return nil, err
	}
	path := d.path()
	peers, err := peersOf(s, path.Peers, "on")
	if err != nil {
		return nil, err
	}
	var out []drills.Change
	for i, m := range s.Targets {
		if err := running(m); err != nil {
			return nil, err
		}
		args := exchangeArgs{Mark: mark(s, m), Path: path.spec(), Exchange: protocol, Rules: rules, Seed: seedOf(s.Run, s.Step) + uint64(i), Prove: d.Prove}
		if args.Peers, err = addressesOf(peers, m); err != nil {
			return nil, err
		}
		c, err := change(s, m, plan{class: drills.ClassUndo, do: verbExchange, undo: verbHeal}, args, healArgs{Mark: args.Mark})
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}
