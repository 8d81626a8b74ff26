package experiments

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// The verbs of Patroni.
const (
	verbSwitchover = "postgres.switchover"
	verbFailover   = "postgres.failover"
)

// postgresArgs are the arguments of both verbs.
type postgresArgs struct {
	Mark   string          `json:"mark,omitempty"` // tells apart the same op of two runs
	REST   []restNode      `json:"rest"`
	From   node            `json:"from"`         // the primary when planned; empty in a fail back: whoever it is by then
	To     *node           `json:"to,omitempty"` // nil: Patroni chooses (switchover only)
	Within drills.Duration `json:"within"`
}

// Apply does postgres.switchover or postgres.failover, at most once per op. The effect lies between the request and the
// first time that another member answers as primary; without one in time it is not proven.
func (p *Patroni) Apply(ctx context.Context, op drills.Op) (drills.Effect, error) {
	if ctx.Err() != nil {
		return drills.Effect{}, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	path, ok := map[string]string{verbSwitchover: "/switchover", verbFailover: "/failover"}[op.Verb]
	if !ok {
		return drills.Effect{}, fmt.Errorf("%q is not a verb of Patroni (%s, %s)", op.Verb, verbSwitchover, verbFailover)
	}
	var a postgresArgs
	if err := op.Decode(&a); err != nil {
		return drills.Effect{}, err
	}
	return p.once.Do(ctx, op.ID+" "+a.Mark, func() (drills.Effect, error) {
		e, err := p.move(ctx, path, a)
		if err != nil {
			err = fmt.Errorf("%s: %w", op.Verb, err)
		}
		return e, err
	})
}

// move asks the first endpoint that knows the cluster, and watches for the new primary while the answer is on its way.
func (p *Patroni) move(ctx context.Context, path string, a postgresArgs) (drills.Effect, error) {
	via, cluster, err := p.cluster(ctx, a.REST)
	if err != nil {
		return drills.Effect{}, err
	}
	body, err := moveRequest(path, cluster, a)
	if err != nil {
		return drills.Effect{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.Within.D())
	answered := make(chan struct{})
	defer func() { cancel(); <-answered }()
	leader, _ := cluster.leader()
	ev := moveEvidence{Asked: via.Addr, From: cmp.Or(a.From.Member, leader)}
	var refused error
	sent := time.Now().UTC()
	looking, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer close(answered)
		ev.Answer, refused = p.post(ctx, via.Addr, path, body)
		if refused != nil {
			stop()
		}
	}()
	to, seen := watchMove(looking, a.Within.D(), func(ctx context.Context) (string, bool) { return p.newPrimary(ctx, a) })
	if !seen.IsZero() {
		cancel() // Patroni answers only once it has seen the change itself, which is later and of no use
	}
	<-answered
	if refused != nil && seen.IsZero() {
		return drills.Effect{}, refused
	}
	ev.To = to
	return moved(sent, seen, "patroni", ev), nil
}

// cluster reads the cluster from the first endpoint that has it.
func (p *Patroni) cluster(ctx context.Context, rest []restNode) (restNode, patroniCluster, error) {
	var errs []error
	for _, n := range rest {
		var c patroniCluster
		status, err := p.rest.get(ctx, n.Addr, "/cluster", &c)
		if err == nil && status == http.StatusOK {
			return n, c, nil
		}
		if err == nil {
			err = fmt.Errorf("%s answers %d", n.Addr, status)
		}
		errs = append(errs, err)
	}
	return restNode{}, patroniCluster{}, fmt.Errorf("no Patroni answers: %w", errors.Join(errs...))
}

// moveRequest names the members as Patroni does, and refuses when the role has moved since the plan.
func moveRequest(path string, c patroniCluster, a postgresArgs) ([]byte, error) {
	leader, host := c.leader()
	back := a.From.Member == ""
	if back && (leader == "" || a.To.is(leader) || a.To.is(host)) {
		return nil, drills.Errorf(drills.Blocked, "put the fail back after a step that moves the role, late enough for the old primary to be a replica again",
			"Patroni names %q as leader: there is no role to hand back to %s", leader, a.To.Member)
	}
	if !back && !a.From.is(leader) && !a.From.is(host) {
		return nil, drills.Errorf(drills.Blocked, "the role moved meanwhile: plan again", "Patroni names %q as leader, not %s", leader, a.From.Member)
	}
	req := map[string]string{}
	if path == "/switchover" {
		req["leader"] = leader
	}
	if a.To != nil {
		name, ok := c.nameOf(*a.To)
		if !ok {
			return nil, drills.Errorf(drills.Blocked, "", "Patroni does not know %s", a.To.Member)
		}
		req["candidate"] = name
	}
	return json.Marshal(req)
}

// post returns Patroni's answer. Only a refusal is an error: a request that broke off may have been heard.
func (p *Patroni) post(ctx context.Context, addr, path string, body []byte) (string, error) {
	status, answer, err := p.rest.do(ctx, http.MethodPost, addr, path, body)
	text := strings.TrimSpace(string(answer))
	switch {
	case errors.Is(err, context.Canceled):
		return "the change was seen before the answer", nil
	case err != nil:
		return err.Error(), nil //nolint:nilerr // it may have been heard: whether the role moved decides
	case status == http.StatusUnauthorized:
		return text, drills.Errorf(drills.Blocked, "Patroni's REST API is protected by a password, which is not supported", "%s refused (401)", addr)
	case status >= 300:
		return text, fmt.Errorf("%s refused (%d): %s", addr, status, text)
	}
	return text, nil
}

// newPrimary looks for another member that answers as primary: the wanted one, if one was named.
func (p *Patroni) newPrimary(ctx context.Context, a postgresArgs) (string, bool) {
	for _, n := range a.REST {
		if n.Member == a.From.Member || a.To != nil && n.Member != a.To.Member {
			continue
		}
		if ok, _ := p.rest.isPrimary(ctx, n.Addr); ok {
			return n.Member, true
		}
	}
	return "", false
}

// Present tells whether a role change is still under way: nobody but members that are not in their final role. One that is
// over leaves nothing in force.
func (p *Patroni) Present(ctx context.Context, op drills.Op) (bool, error) {
	if ctx.Err() != nil {
		return false, fmt.Errorf("%s: %w", op.Verb, context.Cause(ctx))
	}
	var a postgresArgs
	if err := op.Decode(&a); err != nil {
		return false, err
	}
	if _, _, err := p.cluster(ctx, a.REST); err != nil {
		return false, fmt.Errorf("%s: %w", op.Verb, err)
	}
	return !slices.ContainsFunc(a.REST, func(n restNode) bool { ok, _ := p.rest.isPrimary(ctx, n.Addr); return ok }), nil
}
