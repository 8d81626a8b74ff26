package store

import (
	"context"
	"strconv"
)

// Memory are the parameters of redis-maxmemory.
type Memory struct {
	Share  float64 `json:"share"`  // of what is in use when it begins, 0..1
	Policy string  `json:"policy"` // what the server does at the limit
}

// memory lowers maxmemory below what is in use.
type memory struct {
	redisNode
	with         Memory
	evicted, oom int64 // counters before the deed
}

// Check reads the settings, and fixes the limit: the undo is conditional on finding it.
func (f *memory) Check(ctx context.Context) (map[string]string, error) {
	now, err := f.settings(ctx, "maxmemory", "maxmemory-policy")
	if err != nil {
		return nil, err
	}
	kv, err := f.info(ctx, "memory")
	if err != nil {
		return nil, err
	}
	limit := int64(f.with.Share * float64(number(kv, "used_memory")))
	if was, _ := strconv.ParseInt(now["maxmemory"], 10, 64); was > 0 && was <= limit {
		return nil, blocked("give a smaller `share`", "%s has maxmemory %d already, which is not above the %d asked for", f.spec.Redis.Address, was, limit)
	}
	now["limit"] = strconv.FormatInt(limit, 10)
	return now, f.may(ctx, []any{"config|set", "maxmemory", now["limit"]})
}

// Begin sets the policy and then the limit.
func (f *memory) Begin(ctx context.Context) error {
	var err error
	if f.evicted, f.oom, err = f.refused(ctx); err != nil {
		return err
	}
	return f.set(ctx, "maxmemory-policy", f.with.Policy, "maxmemory", f.spec.Before["limit"])
}

// refused are the server's counters of evicted keys and of commands refused for want of memory.
func (r *redisNode) refused(ctx context.Context) (evicted, oom int64, err error) {
	kv, err := r.info(ctx, "stats")
	if err != nil {
		return 0, 0, err
	}
	evicted = number(kv, "evicted_keys")
	kv, err = r.info(ctx, "errorstats")
	return evicted, member(kv["errorstat_OOM"], "count"), err
}

// Beat is proof once a command was refused, or, where the policy evicts, a key evicted.
func (f *memory) Beat(ctx context.Context) (Beat, error) {
	evicted, oom, err := f.refused(ctx)
	evicted, oom = evicted-f.evicted, oom-f.oom
	return Beat{Proven: evicted > 0 || oom > 0 && f.with.Policy == "noeviction", Facts: map[string]any{
		"maxmemory": f.spec.Before["limit"], "before": f.spec.Before["maxmemory"], "policy": f.with.Policy, "evicted": evicted, "refused": oom,
	}}, err
}

// End puts back what is still as we set it.
func (f *memory) End(ctx context.Context) (string, error) {
	return f.putBack(ctx, [][2]string{{"maxmemory", f.spec.Before["limit"]}, {"maxmemory-policy", f.with.Policy}})
}

// Present tells whether the limit is ours.
func (f *memory) Present(ctx context.Context) (bool, error) {
	return f.isOurs(ctx, "maxmemory", f.spec.Before["limit"])
}

// putBack restores each setting that still has our value (name, value).
func (r *redisNode) putBack(ctx context.Context, ours [][2]string) (string, error) {
	const skipped = "the settings are no longer as we left them: somebody has changed them, or the member has restarted"
	did := false
	for _, s := range ours {
		there, err := r.isOurs(ctx, s[0], s[1])
		if err != nil {
			return "", err
		}
		before, known := r.spec.Before[s[0]]
		if !there || !known || before == s[1] {
			continue
		}
		if err := r.set(ctx, s[0], before); err != nil {
			return "", err
		}
		did = true
	}
	if !did {
		return skipped, nil
	}
	return "", nil
}

// isOurs tells whether a setting has our value; a server that is not there has none.
func (r *redisNode) isOurs(ctx context.Context, name, ours string) (bool, error) {
	now, err := r.settings(ctx, name)
	if err != nil {
		return absentIfGone(false, err)
	}
	return now[name] == ours, nil
}
