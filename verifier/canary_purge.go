package verifier

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// purge removes what was written on the primary, as soon as there is one, and waits until no member has any of it.
func (a *canaryAgent) purge(ctx context.Context, job readJob) purged {
	proof := ""
	for deadline := time.Now().Add(job.Within.D()); ; {
		if proof = a.purgeOnce(ctx, job.Members); proof == "" {
			break
		}
		if time.Now().After(deadline) || !drills.Wait(ctx, convergePoll) {
			return purged{Proof: proof}
		}
	}
	for deadline := time.Now().Add(proofWithin); ; {
		proof, gone := a.proof(ctx, job.Members)
		if gone || time.Now().After(deadline) || !drills.Wait(ctx, convergePoll) {
			return purged{OK: gone, Proof: proof}
		}
	}
}

// purgeOnce returns why it could not, empty when it could.
func (a *canaryAgent) purgeOnce(ctx context.Context, members []MemberAddr) string {
	all := askAll(ctx, members, a.store.standing)
	lead, _ := leader(all)
	if lead < 0 {
		var why []string
		for i, s := range all {
			why = append(why, members[i].Name+": "+headline(members[i], s, false).Error)
		}
		return "no primary to purge " + a.store.what() + " on (" + strings.Join(why, "; ") + ")"
	}
	if err := a.store.purge(ctx, members[lead]); err != nil {
		return fmt.Sprintf("purge %s on %s: %s", a.store.what(), members[lead].Name, clip(err.Error()))
	}
	return ""
}

// proof looks for anything of ours on every member.
func (a *canaryAgent) proof(ctx context.Context, members []MemberAddr) (string, bool) {
	var words []string
	gone := true
	for _, m := range members {
		n, err := a.store.left(ctx, m)
		switch {
		case err != nil:
			gone = false
			words = append(words, fmt.Sprintf("%s not asked (%s)", m.Name, clip(err.Error())))
		default:
			gone = gone && n == 0
			words = append(words, fmt.Sprintf("%s has %d", m.Name, n))
		}
	}
	return a.store.what() + ": " + strings.Join(words, ", "), gone
}

// orphaned purges without an orchestrator: on the members it last named, else through the write address.
func (a *canaryAgent) orphaned(ctx context.Context) {
	if !a.job.Spec.Purge || a.store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, orphanPurge)
	defer cancel()
	members := a.known
	if len(members) == 0 {
		m, err := a.store.anywhere(ctx)
		if err != nil {
			return
		}
		members = []MemberAddr{m}
	}
	a.purge(ctx, readJob{Members: members, Within: drills.Duration(orphanPurge / 2)})
}
