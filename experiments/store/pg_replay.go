package store

import (
	"context"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const pausePoll = 50 * time.Millisecond

// replayPause keeps a replica from applying what it receives. Somebody may resume it meanwhile: Patroni does so in every
// one of its loops (PostgreSQL 14 and newer). It is then paused again, so that the replica applies in short bursts.
type replayPause struct {
	pgServer
	again int // how often it was found resumed
}

// Check refuses a primary, a pause that is somebody else's, and a role that may not resume.
func (f *replayPause) Check(ctx context.Context) (map[string]string, error) {
	const ask = `select pg_is_in_recovery(), current_user::text,
		has_function_privilege('pg_wal_replay_pause()', 'execute') and has_function_privilege('pg_wal_replay_resume()', 'execute')`
	var replica, may bool
	var user string
	if err := f.one(ctx, ask, nil, &replica, &user, &may); err != nil {
		return nil, err
	}
	switch {
	case !replica:
		return nil, blocked("target a replica: `role: replica`", "%s is a primary and replays nothing", f.where())
	case !may:
		return nil, blocked("GRANT EXECUTE ON FUNCTION pg_wal_replay_pause(), pg_wal_replay_resume() TO "+user, "%s may not pause the replay of %s", user, f.where())
	}
	paused, err := f.paused(ctx)
	if err == nil && paused {
		return nil, blocked("resume it, or wait until whoever paused it does", "the replay of %s is paused already", f.where())
	}
	return nil, err
}

// paused is false on a server that has been promoted: there is nothing to resume.
func (f *replayPause) paused(ctx context.Context) (paused bool, err error) {
	err = f.one(ctx, "select case when pg_is_in_recovery() then pg_is_wal_replay_paused() else false end", nil, &paused)
	return paused, err
}

// Begin asks for the pause and waits until replay stands still.
func (f *replayPause) Begin(ctx context.Context) error {
	if err := f.exec(ctx, "select pg_wal_replay_pause()"); err != nil {
		return err
	}
	for {
		var state string
		if err := f.one(ctx, "select pg_get_wal_replay_pause_state()", nil, &state); err != nil || state == "paused" {
			return err
		}
		if !drills.Wait(ctx, pausePoll) {
			return context.Cause(ctx)
		}
	}
}

// Beat is proof once more has been received than applied. A pause that somebody has ended begins anew here.
func (f *replayPause) Beat(ctx context.Context) (Beat, error) {
	const ask = `select pg_is_wal_replay_paused(), coalesce(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), 0)::bigint,
		coalesce(extract(epoch from now() - pg_last_xact_replay_timestamp()), 0)::float8`
	var paused bool
	var behind int64
	var age float64
	err := f.one(ctx, ask, nil, &paused, &behind, &age)
	if err == nil && !paused {
		f.again++
		err = f.exec(ctx, "select pg_wal_replay_pause()")
	}
	return Beat{Proven: paused && behind > 0, Facts: map[string]any{
		"paused": paused, "behind_bytes": behind, "last_applied_s": age, "paused_again": f.again,
	}}, err
}

// End resumes.
func (f *replayPause) End(ctx context.Context) (string, error) {
	paused, err := f.paused(ctx)
	switch {
	case gone(err):
		return "the server is not there", nil
	case err != nil:
		return "", err
	case !paused:
		return "it was not paused: somebody has resumed it, or it was promoted or restarted", nil
	}
	return "", f.exec(ctx, "select pg_wal_replay_resume()")
}

// Present tells whether replay is paused.
func (f *replayPause) Present(ctx context.Context) (bool, error) { return absentIfGone(f.paused(ctx)) }
