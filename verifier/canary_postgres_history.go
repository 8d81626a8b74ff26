package verifier

import (
	"context"
	"strings"
)

// pgTimeline is the timeline on which a primary writes; the control file's is that of the last checkpoint, which may be
// older than a promotion.
const pgTimeline = "select ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int"

// history reads the history file of the primary's timeline, where the user may (EXECUTE on pg_read_file, or the role
// pg_read_server_files).
func (p *pgStore) history(ctx context.Context, primary MemberAddr) *walHistory {
	if !p.wal {
		return nil
	}
	link, err := p.member(ctx, primary)
	if err != nil {
		return &walHistory{Why: clip(err.Error())}
	}
	defer link.drop()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var timeline int
	if err := link.QueryRow(ctx, pgTimeline).Scan(&timeline); err != nil {
		return &walHistory{Why: clip(err.Error())}
	}
	if timeline == 1 {
		return &walHistory{} // it has none
	}
	var text string
	if err := link.QueryRow(ctx, "select pg_read_file('pg_wal/' || lpad(upper(to_hex($1::int)), 8, '0') || '.history')", timeline).Scan(&text); err != nil {
		return &walHistory{Why: clip(strings.TrimPrefix(err.Error(), "ERROR: "))}
	}
	return &walHistory{Began: parseHistory(text, timeline)}
}
