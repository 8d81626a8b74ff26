package store

import (
	"context"

	"github.com/eevans-d/simulacro/drills"
)

// Persistence are the parameters of redis-persistence.
type Persistence struct {
	AppendOnly string          `json:"appendonly"`     // yes or no
	Save       *string         `json:"save,omitempty"` // save points as in redis.conf, "" for none; absent: as they are
	Exposed    drills.Duration `json:"exposed"`        // how long writes are taken under these settings before the member restarts
}

// persistence changes what a node keeps on disk.
type persistence struct {
	redisNode
	with   Persistence
	offset int64 // of the replication stream at the deed: it grows with every write
}

// Check reads the settings.
func (f *persistence) Check(ctx context.Context) (map[string]string, error) {
	now, err := f.settings(ctx, "appendonly", "save")
	if err != nil {
		return nil, err
	}
	return now, f.may(ctx, []any{"config|set", "appendonly", f.with.AppendOnly})
}

// Begin sets them and lets writes come.
func (f *persistence) Begin(ctx context.Context) error {
	kv, err := f.info(ctx, "replication")
	if err != nil {
		return err
	}
	f.offset = number(kv, "master_repl_offset")
	pairs := []string{"appendonly", f.with.AppendOnly}
	if f.with.Save != nil {
		pairs = append(pairs, "save", *f.with.Save)
	}
	if err := f.set(ctx, pairs...); err != nil {
		return err
	}
	if !drills.Wait(ctx, f.with.Exposed.D()) {
		return context.Cause(ctx)
	}
	return nil
}

// Beat is proof once the server says that it runs so.
func (f *persistence) Beat(ctx context.Context) (Beat, error) {
	kv, err := f.info(ctx, "persistence")
	if err != nil {
		return Beat{}, err
	}
	rep, err := f.info(ctx, "replication")
	want := map[string]string{"yes": "1", "no": "0"}[f.with.AppendOnly]
	return Beat{Proven: kv["aof_enabled"] == want, Facts: map[string]any{
		"appendonly": f.with.AppendOnly, "before": f.spec.Before["appendonly"], "bytes_written_under_it": number(rep, "master_repl_offset") - f.offset,
		"changes_since_last_save": number(kv, "rdb_changes_since_last_save"),
	}}, err
}

func (f *persistence) ours() [][2]string {
	out := [][2]string{{"appendonly", f.with.AppendOnly}}
	if f.with.Save != nil {
		out = append(out, [2]string{"save", *f.with.Save})
	}
	return out
}

// End puts back what is still as we set it; a member that has restarted has its own settings again.
func (f *persistence) End(ctx context.Context) (string, error) { return f.putBack(ctx, f.ours()) }

// Present tells whether a setting has our value where it had another.
func (f *persistence) Present(ctx context.Context) (bool, error) {
	for _, s := range f.ours() {
		if before, known := f.spec.Before[s[0]]; known && before == s[1] {
			continue
		}
		if there, err := f.isOurs(ctx, s[0], s[1]); there || err != nil {
			return there, err
		}
	}
	return false, nil
}
