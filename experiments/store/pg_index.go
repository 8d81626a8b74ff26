package store

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Index are the parameters of postgres-drop-index.
type Index struct {
	Index string `json:"index"` // schema.name
}

// dropIndex drops an index and makes it again from its definition.
type dropIndex struct {
	pgServer
	with Index
	tab  struct{ scans, index int64 } // the table's sequential scans and the index's, before
}

// Check reads the definition, which is what the undo needs, and refuses what a definition does not tell.
func (f *dropIndex) Check(ctx context.Context) (map[string]string, error) {
	if err := f.primary(ctx); err != nil {
		return nil, err
	}
	const ask = `select pg_get_indexdef(i.indexrelid), i.indrelid::regclass::text, format('%I.%I', n.nspname, c.relname),
			coalesce(obj_description(i.indexrelid, 'pg_class'), ''), coalesce((select spcname from pg_tablespace s where s.oid = c.reltablespace), ''),
			exists (select from pg_constraint where conindid = i.indexrelid), i.indisclustered or i.indisreplident, c.relispartition or c.relkind = 'I',
			pg_has_role(t.relowner, 'usage'), pg_get_userbyid(t.relowner), current_user::text, n.nspname, has_schema_privilege(n.oid, 'create')
		from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace join pg_class t on t.oid = i.indrelid
		where i.indexrelid = to_regclass($1)`
	var def, table, name, comment, space, owner, user, schema string
	var constraint, special, partitioned, may, create bool
	err := f.one(ctx, ask, []any{f.with.Index}, &def, &table, &name, &comment, &space, &constraint, &special, &partitioned, &may, &owner, &user, &schema, &create)
	switch {
	case err == pgx.ErrNoRows: //nolint:errorlint // one returns it bare
		return nil, blocked("name it with its schema: select schemaname, indexname from pg_indexes", "there is no index %s", f.with.Index)
	case err != nil:
		return nil, err
	case constraint:
		return nil, blocked("choose an index that is not a constraint's", "%s belongs to a constraint: without it the data would not be checked", name)
	case special || partitioned || space != "":
		return nil, blocked("choose another index", "%s is clustered on, a replica identity, part of a partitioned index or in a tablespace: its definition alone would not bring it back", name)
	case !may:
		return nil, blocked("GRANT "+owner+" TO "+user, "only the owner of %s (%s) may drop its index, and we are %s", table, owner, user)
	}
	if !create { // dropping asks for less than making it again
		return nil, blocked("GRANT CREATE ON SCHEMA "+schema+" TO "+user, "%s may drop %s but not make it again", user, name)
	}
	return map[string]string{"definition": def, "table": table, "name": name, "comment": comment}, nil
}

// Begin drops it.
func (f *dropIndex) Begin(ctx context.Context) error {
	const ask = "select coalesce(seq_scan, 0), coalesce(idx_scan, 0) from pg_stat_all_tables where relid = $1::text::regclass"
	if err := f.one(ctx, ask, []any{f.spec.Before["table"]}, &f.tab.scans, &f.tab.index); err != nil {
		return err
	}
	return f.exec(ctx, "drop index "+f.spec.Before["name"])
}

// Beat is proof while it is not there; what the queries do without it is in the facts.
func (f *dropIndex) Beat(ctx context.Context) (Beat, error) {
	const ask = `select to_regclass($1) is null, coalesce((select seq_scan from pg_stat_all_tables where relid = to_regclass($2)), 0)`
	var missing bool
	var scans int64
	err := f.one(ctx, ask, []any{f.spec.Before["name"], f.spec.Before["table"]}, &missing, &scans)
	return Beat{Proven: missing, Facts: map[string]any{
		"index": f.spec.Before["name"], "table": f.spec.Before["table"], "definition": f.spec.Before["definition"], "sequential_scans": scans - f.tab.scans,
	}}, err
}

// End makes it again, on whatever server takes writes now. It keeps writers of the table waiting while it builds: a concurrent
// build could leave half an index behind.
func (f *dropIndex) End(ctx context.Context) (string, error) {
	c, err := f.writable(ctx, map[string]string{"lock_timeout": "0", "statement_timeout": "0", "maintenance_work_mem": "64MB"})
	if err != nil {
		return "", err
	}
	defer closeAll([]*pgx.Conn{c})
	var there bool
	if err := c.QueryRow(ctx, "select to_regclass($1) is not null", f.spec.Before["name"]).Scan(&there); err != nil {
		return "", err
	}
	if there {
		return "the index is there: it was never dropped, or somebody has made it again", nil
	}
	sql := []string{f.spec.Before["definition"]}
	if text := f.spec.Before["comment"]; text != "" {
		sql = append(sql, "comment on index "+f.spec.Before["name"]+" is '"+strings.ReplaceAll(text, "'", "''")+"'")
	}
	return "", pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		for _, s := range sql {
			if _, err := tx.Exec(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// writable is a session on the member, or, when that is a replica or away by now, where the DSN leads.
func (p *pgServer) writable(ctx context.Context, params map[string]string) (*pgx.Conn, error) {
	c, err := p.connect(ctx, controlName, params)
	if err == nil {
		var replica bool
		if err = c.QueryRow(ctx, "select pg_is_in_recovery()").Scan(&replica); err == nil && !replica {
			return c, nil
		}
		closeAll([]*pgx.Conn{c})
	}
	if p.spec.Postgres.Address == "" {
		if err == nil {
			err = blocked("", "%s is a replica", p.where())
		}
		return nil, err
	}
	return p.connectTo(ctx, "", controlName, params)
}

// Present tells whether the index is missing.
func (f *dropIndex) Present(ctx context.Context) (bool, error) {
	c, err := f.writable(ctx, map[string]string{"statement_timeout": ms(answerWithin)})
	if err != nil {
		return false, err
	}
	defer closeAll([]*pgx.Conn{c})
	var missing bool
	err = c.QueryRow(ctx, "select to_regclass($1) is null", f.spec.Before["name"]).Scan(&missing)
	return missing, err
}
