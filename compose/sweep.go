package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"golang.org/x/sync/errgroup"
)

// removeGrace is how long a process of ours gets to undo itself before it is killed, unless its place gives it longer.
const removeGrace = 2 * time.Second

// Leftover is a container of ours whose run is over.
type Leftover struct {
	ID    string    `json:"id"`
	Name  string    `json:"name"`
	Run   string    `json:"run"`
	Role  string    `json:"role"`
	State string    `json:"state"`
	Since time.Time `json:"since"`
}

// Leftovers lists the containers that dead runs of this project left behind. A run is alive while its guard runs; one
// that has no guard at all, while its owner lives. Guards themselves are not listed: Collect reads and removes them.
func (e *Engine) Leftovers(ctx context.Context) ([]Leftover, error) {
	list, err := e.ours(ctx, filters.Arg("label", LabelSystem+"="+e.project))
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	return leftoversOf(list, func(o owner) bool { return ownerLives(o, host) }), nil
}

// Sweep removes the leftovers and returns what it removed.
func (e *Engine) Sweep(ctx context.Context) ([]Leftover, error) {
	left, err := e.Leftovers(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(left))
	for i, l := range left {
		ids[i] = l.ID
	}
	failed := e.endContainers(ctx, ids)
	gone := slices.DeleteFunc(left, func(l Leftover) bool { return failed[l.ID] != nil })
	var errs []error
	for id, err := range failed {
		errs = append(errs, fmt.Errorf("container %.12s stays: %w", id, err))
	}
	return gone, errors.Join(errs...)
}

// leftoversOf judges a project's containers of ours by their labels and states alone.
func leftoversOf(list []container.Summary, lives func(owner) bool) []Leftover {
	guards := map[string]bool{} // run -> its guard is running
	for _, c := range list {
		if o, _ := ownerOf(c.Labels); o.Role == RoleGuard {
			guards[o.Run] = guards[o.Run] || c.State == container.StateRunning || c.State == container.StatePaused || c.State == container.StateRestarting ||
				c.State == container.StateCreated && time.Since(o.Since) < createdGrace
		}
	}
	var out []Leftover
	for _, c := range list {
		o, ours := ownerOf(c.Labels)
		alive, guarded := guards[o.Run]
		if !ours || o.Role == RoleGuard || alive || !guarded && lives(o) {
			continue
		}
		out = append(out, Leftover{ID: c.ID, Name: firstName(c.Names), Run: o.Run, Role: o.Role, State: c.State, Since: o.Since})
	}
	slices.SortFunc(out, func(a, b Leftover) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func firstName(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return trimSlash(names[0])
}

// ours lists containers with our labels, in every state.
func (e *Engine) ours(ctx context.Context, with ...filters.KeyValuePair) ([]container.Summary, error) {
	f := filters.NewArgs(append(with, filters.Arg("label", LabelRun))...)
	list, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: f})
	if err != nil {
		return nil, fmt.Errorf("list containers of ours: %w", err)
	}
	return list, nil
}

// removeRun ends and removes everything of a run but its guard, and returns the names.
func (e *Engine) removeRun(ctx context.Context, run string) ([]string, error) {
	list, err := e.ours(ctx, filters.Arg("label", LabelRun+"="+run), filters.Arg("label", LabelSystem+"="+e.project))
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(c container.Summary) bool { return c.Labels[LabelRole] == RoleGuard })
	var ids []string
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	failed := e.endContainers(ctx, ids)
	var names []string
	var errs []error
	for _, c := range list {
		if err := failed[c.ID]; err != nil {
			errs = append(errs, fmt.Errorf("container %s stays: %w", firstName(c.Names), err))
			continue
		}
		names = append(names, firstName(c.Names))
	}
	return names, errors.Join(errs...)
}

// endContainers lets the processes undo themselves and removes their containers; it returns those that stayed.
func (e *Engine) endContainers(ctx context.Context, ids []string) map[string]error {
	failed := map[string]error{}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(8)
	for _, id := range ids {
		g.Go(func() error {
			// The container's own grace counts. How the stop went does not matter: what follows removes the container anyway.
			_ = e.api.ContainerStop(ctx, id, container.StopOptions{})
			if err := e.removeContainer(ctx, id); err != nil {
				mu.Lock()
				failed[id] = err
				mu.Unlock()
			}
			return nil
		})
	}
	_ = g.Wait() // the functions return nil
	return failed
}

// removeContainer removes a container of ours by force and returns when it is gone; one that is gone already is fine.
func (e *Engine) removeContainer(ctx context.Context, id string) error {
	err := e.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true}) // unnamed ones, of its image
	if errdefs.IsConflict(err) && strings.Contains(err.Error(), "already in progress") {
		err = (&containerProcess{api: e.api, id: id}).wait(ctx)
	}
	if err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("remove container %.12s: %w", id, err)
}
