package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments"
)

// backupDiagnoses look at the backups of every component that declares where they are, and at where else they are.
func (s *session) backupDiagnoses(ctx context.Context, t drills.Topology) []drills.Diagnosis {
	var out []drills.Diagnosis
	for _, name := range slices.Sorted(maps.Keys(s.system.Components)) {
		c := s.system.Components[name]
		for _, backup := range slices.Sorted(maps.Keys(c.Backups)) {
			out = append(out, s.backupDiagnosis(ctx, t.Of(name), name+"/"+backup, c.Backups[backup])...)
		}
		if len(c.Backups) > 0 {
			out = append(out, copiesDiagnosis(name, c.Copies))
		}
	}
	return out
}

func (s *session) backupDiagnosis(ctx context.Context, members []drills.Member, name string, b drills.BackupPlace) []drills.Diagnosis {
	i := slices.IndexFunc(members, func(m drills.Member) bool { return m.Image != "" })
	if i < 0 {
		return []drills.Diagnosis{{Part: "system", What: "backup " + name, Level: drills.LevelNotChecked, Found: "there is no member whose image could read the volumes"}}
	}
	state, err := experiments.LookAtBackups(ctx, s.launch, members[i], b)
	if err != nil {
		return []drills.Diagnosis{{Part: "system", What: "backup " + name, Level: drills.LevelNotChecked, Found: err.Error(), Mend: "see backups: of the component: volumes and patterns"}}
	}
	return backupLines(name, b, state, time.Now())
}

// backupLines say what was found at one place.
func backupLines(name string, b drills.BackupPlace, s drills.BackupState, now time.Time) []drills.Diagnosis {
	d := drills.Diagnosis{Part: "system", What: "backup " + name, Level: drills.LevelOK}
	if n := s.Newest; n != nil {
		d.Found = fmt.Sprintf("%s, %d bytes, %s old (at most %s), one of %d", n.File, n.Size, now.Sub(n.Written).Round(time.Second), b.MaxAge, n.Copies)
	}
	if s.Why != "" {
		d.Level, d.Found = drills.LevelProblem, s.Why
		d.Why, d.Mend = "after a loss of every member there is nothing, or nothing recent, to restore", "look at the log of what makes the backups"
	}
	out := []drills.Diagnosis{d}
	if b.WAL == "" {
		return out
	}
	d = drills.Diagnosis{Part: "system", What: "WAL archive " + name, Level: drills.LevelOK, Found: s.WAL}
	if s.WALHole != "" {
		d.Level, d.Found = drills.LevelProblem, s.WALHole
		d.Why, d.Mend = "a restore ends there, however much was written afterwards", "make a new base backup now, and look at what archives the WAL"
	}
	return append(out, d)
}

// copiesDiagnosis judges what is declared by the rule of 3-2-1. What is declared was not looked at, so it is never more than
// "not checked".
func copiesDiagnosis(name string, c *drills.Copies) drills.Diagnosis {
	d := drills.Diagnosis{Part: "system", What: "copies of " + name + " (3-2-1)"}
	if c == nil {
		d.Level, d.Found = drills.LevelProblem, "no copy of the backups is declared anywhere else"
		d.Why, d.Mend = "what destroys this place, or encrypts it, takes the backups with it", "copy them elsewhere and say so in copies: of the component, or state copies: {gap: WHY}"
		return d
	}
	media, elsewhere := []string{orDisk(c.Media)}, false
	var at []string
	for _, o := range c.Others {
		if !slices.Contains(media, o.Media) {
			media = append(media, o.Media)
		}
		elsewhere = elsewhere || o.Elsewhere
		at = append(at, o.At)
	}
	d.Found = fmt.Sprintf("%d copies with the live data, on %s", 2+len(c.Others), strings.Join(media, " and "))
	if len(at) > 0 {
		d.Found += "; also at " + strings.Join(at, ", ")
	}
	switch {
	case c.Gap != "":
		d.Level, d.Found = drills.LevelWarning, "a stated gap: "+c.Gap+" ("+d.Found+")"
	case len(c.Others) == 0 || len(media) < 2 || !elsewhere:
		d.Level, d.Found = drills.LevelProblem, d.Found+", "+map[bool]string{true: "one of them elsewhere", false: "none of them elsewhere"}[elsewhere]
		d.Why, d.Mend = "three copies on two kinds of media, one of them elsewhere, are the rule", "add what is missing, or state it: copies: {gap: WHY}"
	default:
		d.Level, d.Found = drills.LevelNotChecked, "as declared: "+d.Found+", one of them elsewhere"
		d.Why = "copies elsewhere cannot be looked at from here: restore from them now and then"
	}
	return d
}

func orDisk(media string) string {
	if media == "" {
		return "disk"
	}
	return media
}
