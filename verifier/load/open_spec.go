package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/eevans-d/simulacro/drills"
)

// OpenArgs are the arguments of load.open, and the spec of its generator once secrets are expanded.
type OpenArgs struct {
	Network string            `json:"network,omitempty"` // where the generator runs; empty: beside the orchestrator
	Run     string            `json:"run"`
	Seed    uint64            `json:"seed"` // of what the operations draw
	Ramp    drills.Duration   `json:"ramp"` // time over which the rate grows; its operations do not count
	Lease   drills.Duration   `json:"lease,omitempty"`
	Flows   []drills.LoadFlow `json:"flows"`
}

func (a OpenArgs) check() error {
	var errs []error
	if len(a.Flows) == 0 {
		errs = append(errs, errors.New("flows: none given"))
	}
	if a.Ramp < 0 || a.Lease < 0 {
		errs = append(errs, errors.New("ramp and lease cannot be negative"))
	}
	for _, f := range a.Flows {
		if f.Name == "" || f.Rate <= 0 || f.Connections < 1 || f.Timeout <= 0 {
			errs = append(errs, fmt.Errorf("flow %q: needs a name, and a rate, connections and a timeout above zero", f.Name))
		}
		if n := len(kindsOf(f)); n != 1 {
			errs = append(errs, fmt.Errorf("flow %q: exactly one of http, redis and postgres is needed", f.Name))
		}
	}
	return errors.Join(errs...)
}

func kindsOf(f drills.LoadFlow) []string {
	var out []string
	if f.HTTP != nil {
		out = append(out, "http")
	}
	if f.Redis != nil {
		out = append(out, "redis")
	}
	if f.Postgres != nil {
		out = append(out, "postgres")
	}
	return out
}

func (a *Actuator) beginOpen(ctx context.Context, op drills.Op) (drills.Effect, error) {
	if r := a.find(op); r != nil {
		return r.effect()
	}
	var args OpenArgs
	if err := op.Decode(&args); err != nil {
		return drills.Effect{}, err
	}
	if err := args.check(); err != nil {
		return drills.Effect{}, drills.Wrap(drills.Input, err, "load.open", "check the step's `with:`")
	}
	args.Lease = drills.Duration(generatorLease)
	if err := a.expandFlows(args.Flows); err != nil {
		return drills.Effect{}, err
	}
	spec, err := json.Marshal(args)
	if err != nil {
		return drills.Effect{}, err
	}
	return a.launch(ctx, op, generatorProcess{agent: "open-load", network: args.Network, ramp: args.Ramp.D(), spec: spec})
}

// expandFlows puts secrets in place. The flows were decoded from the op for this: the op keeps its references.
func (a *Actuator) expandFlows(flows []drills.LoadFlow) error {
	var errs []error
	put := func(flow, what string, s *string) {
		v, err := a.expand(*s)
		if err != nil {
			errs = append(errs, fmt.Errorf("load.open: %s: %s: %w", flow, what, err))
		}
		*s = v
	}
	for _, f := range flows {
		if h := f.HTTP; h != nil && h.Login != nil {
			put(f.Name, "login url", &h.Login.URL)
			put(f.Name, "login username", &h.Login.Username)
			put(f.Name, "login password", &h.Login.Password)
		}
		if p := f.Postgres; p != nil {
			put(f.Name, "dsn", &p.DSN)
		}
		if r := f.Redis; r != nil {
			put(f.Name, "username", &r.Username)
			put(f.Name, "password", &r.Password)
			var err1, err2 error
			r.TLS, err1 = r.TLS.Expanded(a.expand)
			r.Auth, err2 = r.Auth.Expanded(a.expand)
			errs = append(errs, err1, err2)
		}
	}
	return errors.Join(errs...)
}
