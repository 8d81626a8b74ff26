package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/eevans-d/simulacro/drills"
)

// OnEnd has f called when the generator of a fault (clients.*) ends without being asked to: a recovery after that is not the
// system's own. It must be called before the first Apply.
func (a *Actuator) OnEnd(f func(change, why string)) *Actuator {
	a.onEnd = f
	return a
}

// beginQuiet starts clients that fall silent. The do is proven when the silence of all that connected is.
func (a *Actuator) beginQuiet(ctx context.Context, op drills.Op) (drills.Effect, error) {
	if r := a.find(op); r != nil {
		return r.effect()
	}
	var args QuietArgs
	if err := op.Decode(&args); err != nil {
		return drills.Effect{}, err
	}
	if err := args.check(); err != nil {
		return drills.Effect{}, drills.Wrap(drills.Input, err, op.Verb, "check the step's `with:`")
	}
	spec, err := a.quietSpec(args)
	if err != nil {
		return drills.Effect{}, err
	}
	g := generatorProcess{agent: "ws-quiet", network: args.Network, ramp: args.Ramp.D() + args.Life.D() + args.Prove.D(), spec: spec, deaf: args.Kind == drills.HalfOpenClients}
	if a.onEnd != nil {
		change := changeOf(op)
		g.onEnd = func() { a.onEnd(change, "the process that held the silent clients ended") }
	}
	return a.launch(ctx, op, g)
}

// quietSpec is the arguments with their secrets in place.
func (a *Actuator) quietSpec(args QuietArgs) (json.RawMessage, error) {
	args.Lease = drills.Duration(generatorLease)
	if args.Login != nil {
		l := *args.Login // the op keeps its references
		var errs []error
		for what, s := range map[string]*string{"url": &l.URL, "username": &l.Username, "password": &l.Password} {
			v, err := a.expand(*s)
			if err != nil {
				errs = append(errs, fmt.Errorf("login %s: %w", what, err))
			}
			*s = v
		}
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		args.Login = &l
	}
	return json.Marshal(args)
}
