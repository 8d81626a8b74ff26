package compose

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"golang.org/x/sync/errgroup"

	"github.com/eevans-d/simulacro/drills"
)

// recent is the inventory for those who look several times a second: it lists the containers every time, and inspects one
// again only when its state or health in the list has changed, or when what is known of it is older than an age. Inspecting
// all of two dozen containers four times a second costs the engine more than a tenth of a core.
type recent struct {
	e   *Engine
	age time.Duration

	mu    sync.Mutex
	known map[string]inspected
}

type inspected struct {
	listed string // state and health as the list had them
	at     time.Time
	is     container.InspectResponse
}

// Recent is an inventory in which a member's state is of now, and the rest of it at most that old. For watching only: what is
// to be planned or undone needs Members.
func (e *Engine) Recent(age time.Duration) drills.Inventory {
	return &recent{e: e, age: age, known: map[string]inspected{}}
}

// Members implements drills.Inventory.
func (r *recent) Members(ctx context.Context) ([]drills.Member, error) {
	list, err := r.e.listProject(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	next := map[string]inspected{}
	var stale []container.Summary
	for _, c := range list {
		if k, ok := r.known[c.ID]; ok && k.listed == stateInList(c) && now.Sub(k.at) < r.age {
			next[c.ID] = k
			continue
		}
		stale = append(stale, c)
	}
	found, err := r.e.inspectAll(ctx, stale)
	if err != nil {
		return nil, err
	}
	for i, c := range stale {
		if found[i].ContainerJSONBase != nil && found[i].Config != nil {
			next[c.ID] = inspected{listed: stateInList(c), at: now, is: found[i]}
		}
	}
	r.known = next
	var all []container.InspectResponse
	for _, k := range next {
		all = append(all, k.is)
	}
	return r.e.membersOf(all), nil
}

// stateInList is what of a listed container changes when its state does. Status has the health in brackets, after an age in
// words that is left out.
func stateInList(c container.Summary) string {
	health := ""
	if n := len(c.Status); n > 0 && c.Status[n-1] == ')' {
		for i := n - 1; i >= 0; i-- {
			if c.Status[i] == '(' {
				health = c.Status[i:]
				break
			}
		}
	}
	return c.State + health
}

// inspectAll inspects the listed containers; one that was removed meanwhile is empty.
func (e *Engine) inspectAll(ctx context.Context, list []container.Summary) ([]container.InspectResponse, error) {
	found := make([]container.InspectResponse, len(list))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(inspectParallel)
	for i, c := range list {
		g.Go(func() error {
			r, err := e.api.ContainerInspect(ctx, c.ID)
			if err != nil && !errdefs.IsNotFound(err) {
				return fmt.Errorf("inspect %s: %w", c.ID, err)
			}
			found[i] = r
			return nil
		})
	}
	return found, g.Wait()
}
