package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier/load/open"
)

// purgeLimit is what removing a load's keys may take.
const purgeLimit = 10 * time.Second

// openFlows are the flows of one generator, ready to run, and what they share.
type openFlows struct {
	flows    []open.Flow
	sessions map[drills.Login]*session // flows with the same login share its token
	redis    map[string]*open.Redis    // by flow
	client   *http.Client
}

func newOpenFlows(a OpenArgs) (*openFlows, error) {
	t := &http.Transport{DialContext: (&net.Dialer{Timeout: loginTimeout}).DialContext}
	o := &openFlows{sessions: map[drills.Login]*session{}, redis: map[string]*open.Redis{}, client: &http.Client{Transport: t}}
	var errs []error
	for i, f := range a.Flows {
		seed := a.Seed + uint64(i)<<32
		flow := open.Flow{Name: f.Name, Rate: f.Rate, Connections: f.Connections, Timeout: f.Timeout.D()}
		var err error
		switch {
		case f.HTTP != nil:
			err = o.http(&flow, f.HTTP, a.Run, seed)
		case f.Redis != nil:
			err = o.addRedis(&flow, f, a.Run, seed)
		case f.Postgres != nil:
			var p *open.Postgres
			if p, err = open.NewPostgres(*f.Postgres, f.Timeout.D(), a.Run, seed); err == nil {
				flow.Ops, flow.Open = p.Names(), p.Open
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("flow %s: %w", f.Name, err))
		}
		o.flows = append(o.flows, flow)
	}
	return o, errors.Join(errs...)
}

func (o *openFlows) http(flow *open.Flow, spec *drills.HTTPLoad, run string, seed uint64) error {
	var tokens open.Tokens
	if l := spec.Login; l != nil {
		if o.sessions[*l] == nil {
			o.sessions[*l] = &session{client: o.client, login: l}
		}
		tokens = sharedToken{o.sessions[*l]}
	}
	h, err := open.NewHTTP(spec.URLs, spec.Operations, run, seed, tokens)
	if err == nil {
		flow.Ops, flow.Open = h.Names(), h.Open
	}
	return err
}

func (o *openFlows) addRedis(flow *open.Flow, f drills.LoadFlow, run string, seed uint64) error {
	r, err := open.NewRedis(*f.Redis, f.Connections, f.Timeout.D(), run, seed)
	if err == nil {
		o.redis[f.Name] = r
		flow.Ops, flow.Open, flow.Batch = r.Names(), r.Open, f.Redis.Pipeline
	}
	return err
}

// sharedToken is a session as the engine asks for it.
type sharedToken struct{ s *session }

func (t sharedToken) Get(ctx context.Context) (string, error) { return t.s.get(ctx) }
func (t sharedToken) Refused(token string)                    { t.s.refused(token) }

// login proves every login before anything is sent.
func (o *openFlows) login(ctx context.Context) error {
	for _, s := range o.sessions {
		if err := s.prove(ctx); err != nil {
			return err
		}
	}
	return nil
}

// close purges what the flows wrote, says what came of it by flow, and ends what they share.
func (o *openFlows) close(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), purgeLimit)
	defer cancel()
	said := map[string]string{}
	for name, r := range o.redis {
		n, err := r.Purge(ctx)
		switch {
		case err != nil:
			said[name] = "not purged: " + err.Error() + "; the keys expire by themselves within 10 minutes"
		case n > 0:
			said[name] = fmt.Sprintf("%d keys removed, none left", n)
		}
		r.Close()
	}
	o.client.CloseIdleConnections()
	return said
}
