package experiments

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// The verbs of restores. The instance ends with its stream, as load does.
const (
	verbRestore    = "restore.backup"
	verbRestoreEnd = "restore.discard"
)

// RestoreBackup restores a backup, beside the system, into an empty and isolated instance made from a member's image, and
// compares what came of it with the live system.
type RestoreBackup struct {
	Image   string                `yaml:"image" json:"image,omitempty"` // default: the target's
	Volumes []drills.VolumeToRead `yaml:"volumes" json:"volumes"`
	Backup  *helper.BackupSpec    `yaml:"backup" json:"backup,omitempty"`
	WAL     string                `yaml:"wal" json:"wal,omitempty"`       // folder of the WAL archive, to be without holes
	Restore []string              `yaml:"restore" json:"restore"`         // the system's own procedure; {until} is latest or the instant
	Until   string                `yaml:"until" json:"until"`             // latest | T0-30s
	DSN     string                `yaml:"dsn" json:"dsn"`                 // of the restored instance, from inside it
	Live    string                `yaml:"live" json:"live,omitempty"`     // of the live system
	Ready   string                `yaml:"ready" json:"ready"`             // a question that is answered t once the instance serves
	Log     string                `yaml:"log" json:"log,omitempty"`       // the instance's log, quoted where it fails
	Point   *RestorePoint         `yaml:"point" json:"point,omitempty"`   // what says how far the restored data reach
	Checks  []RestoreCheck        `yaml:"checks" json:"checks"`           //
	Tables  []string              `yaml:"tables" json:"tables,omitempty"` // whose rows are counted on both sides
	Limit   drills.Duration       `yaml:"limit" json:"limit"`             // of the whole
}

// RestorePoint is how far back the restored data lie: SQL gives the time of the newest thing in them, as a timestamp with
// time zone. The next one was written at most Every later.
type RestorePoint struct {
	SQL   string          `yaml:"sql" json:"sql"`
	Every drills.Duration `yaml:"every" json:"every"`
	OfRun bool            `yaml:"-" json:"of_run,omitempty"` // it asks a table that this run made
}

// RestoreCheck is one question about the restored data: SQL, or a command in the instance.
type RestoreCheck struct {
	Name      string   `yaml:"name" json:"name"`
	SQL       string   `yaml:"sql" json:"sql,omitempty"`
	Command   []string `yaml:"command" json:"command,omitempty"`
	Equals    string   `yaml:"equals" json:"equals,omitempty"`       // live (the live system's answer to the same SQL), or the text itself
	Min       *float64 `yaml:"min" json:"min,omitempty"`             // of a number
	Tolerance float64  `yaml:"tolerance" json:"tolerance,omitempty"` // of numbers that must be equal
}

// equalsLive is the wanted answer that is the live system's own.
const equalsLive = "live"

// restoreArgs are the arguments of restore.backup.
type restoreArgs struct {
	RestoreBackup
	Step  string           `json:"step"`
	From  string           `json:"from"`            // the image
	After *drills.Duration `json:"after,omitempty"` // the chosen instant, from T0; nil: latest
}

func restoreBackupKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "restore-backup",
		Summary:  "Restore a backup into an empty, isolated instance and compare it with the live system",
		Class:    drills.ClassUndo,
		Verbs:    []string{verbRestore, verbRestoreEnd},
		Duration: "none",
		Proof:    "the isolated instance answers; then every check of what was restored",
		Undo:     "the instance is removed with all that is in it; it also ends when its stream closes",
	}, func() *RestoreBackup {
		return &RestoreBackup{Until: "latest", Ready: "select not pg_is_in_recovery()", Limit: drills.Duration(15 * time.Minute)}
	})
}

var untilPattern = regexp.MustCompile(`^T0(-.+)?$`)

// offset is the chosen instant relative to T0; nil for latest.
func (f *RestoreBackup) offset() (*drills.Duration, error) {
	if f.Until == "latest" {
		return nil, nil //nolint:nilnil // no instant was chosen
	}
	a, err := drills.ParseAnchor(f.Until)
	if err != nil || !untilPattern.MatchString(f.Until) || a.Offset > 0 {
		return nil, drills.Errorf(drills.Input, "use latest, or an instant before the restore such as T0-30s", "restore-backup: until: %q is no instant to restore to", f.Until)
	}
	d := drills.Duration(a.Offset)
	return &d, nil
}

// Validate checks the parameters.
func (f *RestoreBackup) Validate() error {
	const kind = complaint("restore-backup")
	_, err := f.offset()
	errs := []error{err}
	if len(f.Restore) == 0 {
		errs = append(errs, kind.bad("restore: is required: the command that restores, such as [restore.sh, \"{until}\"]"))
	}
	if f.Until != "latest" && !slices.ContainsFunc(f.Restore, func(s string) bool { return strings.Contains(s, "{until}") }) {
		errs = append(errs, kind.bad("restore: the command must be told the instant: put {until} into it"))
	}
	if f.DSN == "" {
		errs = append(errs, kind.bad("dsn: is required: how the restored instance is asked from inside, such as host=/tmp user=postgres"))
	}
	if f.Limit <= 0 {
		errs = append(errs, kind.bad("limit: must be above zero, found %s", f.Limit))
	}
	if f.Point != nil && (f.Point.SQL == "" || f.Point.Every <= 0) {
		errs = append(errs, kind.bad("point: needs sql, which gives a time, and every, after which the next would have been written"))
	}
	if b := f.Backup; b != nil && b.Files == "" {
		errs = append(errs, kind.bad("backup: files: is required: a pattern such as /backups/base/*.tar.gz"))
	}
	return errors.Join(append(errs, f.checkChecks(kind))...)
}

func (f *RestoreBackup) checkChecks(kind complaint) error {
	seen := map[string]bool{}
	var errs []error
	for i, c := range f.Checks {
		at := fmt.Sprintf("checks[%d]: ", i)
		switch {
		case c.Name == "" || seen[c.Name]:
			errs = append(errs, kind.bad(at+"each needs a name of its own, found %q", c.Name))
		case (c.SQL == "") == (len(c.Command) == 0):
			errs = append(errs, kind.bad(at+"exactly one of sql and command is needed"))
		case c.Equals == "" && c.Min == nil && len(c.Command) == 0:
			errs = append(errs, kind.bad(at+"say what the answer must be: equals: live, equals: TEXT or min: NUMBER"))
		case c.Equals == equalsLive && (f.Live == "" || c.SQL == ""):
			errs = append(errs, kind.bad(at+"equals: live needs sql, and live: how the live system is asked"))
		case c.Tolerance < 0 || c.Tolerance > 0 && c.Equals == "":
			errs = append(errs, kind.bad(at+"tolerance: belongs to equals and cannot be negative"))
		}
		seen[c.Name] = true
	}
	if len(f.Tables) > 0 && f.Live == "" {
		errs = append(errs, kind.bad("tables: counting on both sides needs live: how the live system is asked"))
	}
	if len(f.Checks)+len(f.Tables) == 0 {
		errs = append(errs, kind.bad("checks: at least one is needed: a restore that nobody looks at proves nothing"))
	}
	return errors.Join(errs...)
}

// Plan is one change: the instance with all that is asked of it.
func (f *RestoreBackup) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := noDuration(s, "restore-backup"); err != nil {
		return nil, err
	}
	off, err := f.offset()
	if err != nil {
		return nil, err
	}
	m := s.Targets[0]
	args := restoreArgs{RestoreBackup: *f, Step: s.Step, After: off, From: f.Image}
	if args.From == "" {
		args.From = m.Image
	}
	args.Checks = slices.Clone(f.Checks)
	for _, table := range f.Tables {
		args.Checks = append(args.Checks, RestoreCheck{Name: "rows of " + table, SQL: "select count(*) from " + table, Equals: equalsLive})
	}
	args.Tables = nil
	for i := range args.Checks {
		args.Checks[i].SQL = canaryTables(s, args.Checks[i].SQL)
	}
	if f.Point != nil {
		args.Point = &RestorePoint{SQL: canaryTables(s, f.Point.SQL), Every: f.Point.Every, OfRun: canaryPattern.MatchString(f.Point.SQL)}
	}
	c, err := change(s, m, plan{class: drills.ClassUndo, do: verbRestore, undo: verbRestoreEnd}, args, nil)
	return []drills.Change{c}, err
}

var canaryPattern = regexp.MustCompile(`\{canary:([a-z0-9-]+)\}`)

// canaryTables puts the table that a canary writes in this run wherever a question says {canary:NAME}.
func canaryTables(s drills.Scene, sql string) string {
	return canaryPattern.ReplaceAllStringFunc(sql, func(found string) string {
		name := canaryPattern.FindStringSubmatch(found)[1]
		if s.System == nil || s.System.Canaries[name].Table == "" {
			return found // the database will say that there is no such table
		}
		return drills.TableName(s.System.Canaries[name].Table, s.Run)
	})
}
