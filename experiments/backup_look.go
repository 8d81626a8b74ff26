package experiments

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// lookLimit bounds one look at backups, without the start of the instance.
const lookLimit = 30 * time.Second

// LookAtBackups looks at where a component's backups lie, from an isolated instance made from the member's image that reads
// the volumes. Backups are not read, only listed: their checksums are for a drill that restores them. The error says why it
// could not be looked at.
func LookAtBackups(ctx context.Context, l drills.Launcher, member drills.Member, b drills.BackupPlace) (s drills.BackupState, err error) {
	box, err := openSandbox(ctx, l, drills.Place{
		Kind: drills.PlaceSandbox, Target: member.ID, Name: "backups", Sandbox: &drills.Sandbox{Volumes: b.Volumes},
	})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, box.close(context.WithoutCancel(ctx))) }()
	ctx, cancel := context.WithTimeoutCause(ctx, lookLimit, fmt.Errorf("the look at the backups was not done within %s", lookLimit))
	defer cancel()
	a, err := box.ask(ctx, helper.Task{Backup: &helper.BackupSpec{Files: b.Files, MinSize: b.MinSize, MaxAge: b.MaxAge, Glance: true}})
	if err != nil {
		return s, err
	}
	s.Newest, s.Cause, s.Why = a.Backup, a.Cause, a.Failed
	if b.WAL == "" {
		return s, nil
	}
	if a, err = box.ask(ctx, helper.Task{WAL: b.WAL, WALMaxAge: b.WALMaxAge}); err == nil {
		s.WAL, s.WALHole = a.Text, a.Failed
	}
	return s, err
}
