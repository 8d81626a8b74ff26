package experiments

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

const (
	// answerLimit bounds one question, in the instance and of the live system.
	answerLimit = 30 * time.Second
	// readyEvery is how often the instance is asked whether it serves: the resolution of the replay's end.
	readyEvery = 200 * time.Millisecond
	// walCheck is the check that no segment of the WAL archive is missing.
	walCheck = "WAL archive"
	// noSuchTable is in the answer about a table that was made after the restored state.
	noSuchTable = "SQLSTATE 42P01"
	// startingUp is in the answer of a PostgreSQL server that replays and lets nobody in yet, and silence is how long there may be
	// no server at all.
	startingUp = "SQLSTATE 57P03"
	silence    = 15 * time.Second
	// untilLayout is an instant as every tool reads it: PostgreSQL's settings take no Z for UTC.
	untilLayout = "2006-01-02T15:04:05.000000-07:00"
	// pointLayout is how a database writes a timestamp in UTC.
	pointLayout = "2006-01-02 15:04:05.999999-07"
)

// restore is the work of one restore, in order: fetch, restore, replay, first-answer, checks.
type restore struct {
	restoreArgs
	box   *sandbox
	live  func(context.Context, string) (string, error)
	wants map[string]string // the live system's answers, by check
	m     drills.RestoreMeasured
}

// shortfall is what the system's own backup or procedure did wrong.
type shortfall struct{ cause, why string }

func (f shortfall) Error() string { return f.why }

// askLive takes the reference before anything else: the answers that the restored instance must give.
func (r *restore) askLive(ctx context.Context) error {
	r.wants = map[string]string{}
	for _, c := range r.Checks {
		if c.Equals != equalsLive {
			continue
		}
		actx, cancel := context.WithTimeoutCause(ctx, answerLimit, fmt.Errorf("the live system did not answer within %s", answerLimit))
		answer, err := r.live(actx, c.SQL)
		cancel()
		if err != nil {
			return drills.Wrap(drills.Blocked, err, "check "+c.Name+" cannot be asked of the live system", "see `live:` and `sql:` of the step")
		}
		r.wants[c.Name] = answer
	}
	return nil
}

// run does all phases and says what came of them.
func (r *restore) run(ctx context.Context) drills.RestoreMeasured {
	var err error
	for _, p := range []struct {
		name string
		do   func(context.Context) error
	}{{"fetch", r.fetch}, {"restore", r.command}, {"replay", r.replay}, {"first-answer", r.point}, {"checks", r.ask}} {
		from := time.Now().UTC()
		err = p.do(ctx)
		r.m.Phases = append(r.m.Phases, drills.RestorePhase{Name: p.name, From: from, To: time.Now().UTC()})
		if err != nil {
			break
		}
	}
	r.m.Ended = time.Now().UTC()
	var f shortfall
	switch {
	case err == nil:
	case errors.As(err, &f):
		r.m.Cause, r.m.Why = f.cause, f.why
		if i := slices.IndexFunc(r.m.Checks, func(c drills.RestoredCheck) bool { return c.Name == walCheck && !c.OK }); i >= 0 {
			r.m.Cause, r.m.Why = "wal-hole", "The backup cannot be restored beyond a hole: "+r.m.Checks[i].Why+". "+f.why
		}
	case errors.Is(err, errLimit):
		r.m.Cause, r.m.Why = "restore-late", fmt.Sprintf("The restore was given up after %s, in its phase %s", r.Limit, r.m.Phases[len(r.m.Phases)-1].Name)
	case ctx.Err() != nil:
		r.m.Error = "the restore was ended before it was done"
	default:
		r.m.Error = err.Error()
	}
	return r.m
}

// fetch looks whether there is a backup that can be restored. A hole in the WAL archive is told, and the restore goes on: how
// far it comes is the finding.
func (r *restore) fetch(ctx context.Context) error {
	if r.Backup != nil {
		a, err := r.box.ask(ctx, helper.Task{Backup: r.Backup})
		if err != nil {
			return err
		}
		r.m.Backup = a.Backup
		if a.Failed != "" {
			return shortfall{a.Cause, "The backup cannot be restored: " + a.Failed}
		}
	}
	if r.WAL == "" {
		return nil
	}
	begin := time.Now()
	a, err := r.box.ask(ctx, helper.Task{WAL: r.WAL})
	if err == nil {
		r.m.Checks = append(r.m.Checks, drills.RestoredCheck{
			Name: walCheck, Want: "no segment is missing", Got: a.Text + a.Failed, OK: a.Failed == "", Why: a.Failed, Took: drills.Duration(time.Since(begin)),
		})
	}
	return err
}

// command runs the system's own procedure.
func (r *restore) command(ctx context.Context) error {
	until := "latest"
	if r.m.Until != nil {
		until = r.m.Until.UTC().Format(untilLayout)
	}
	argv := slices.Clone(r.Restore)
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], "{until}", until)
	}
	a, err := r.box.ask(ctx, helper.Task{Command: argv})
	if err == nil && a.Failed != "" {
		err = shortfall{"restore-failed", "The restore procedure failed: " + a.Failed + r.complaint(ctx)}
	}
	return err
}

// complaint is what the instance's log says, to be quoted.
func (r *restore) complaint(ctx context.Context) string {
	if r.Log == "" {
		return ""
	}
	a, err := r.box.ask(ctx, helper.Task{Tail: r.Log, Limit: drills.Duration(answerLimit)})
	if err != nil || a.Text == "" {
		return ""
	}
	return " (its log: " + a.Text + ")"
}

// replay waits until the instance says that it serves. One that nobody can connect to for a while is gone: its log says why.
func (r *restore) replay(ctx context.Context) error {
	heard := time.Now()
	for {
		a, err := r.box.ask(ctx, helper.Task{SQL: r.Ready, DSN: r.DSN, Limit: drills.Duration(answerLimit)})
		switch {
		case err != nil:
			return err
		case a.Failed == "" && a.Text == "t":
			return nil
		case a.Failed == "" || strings.Contains(a.Failed, startingUp):
			heard = time.Now()
		case time.Since(heard) > silence:
			return shortfall{"not-recovered", fmt.Sprintf("The restored instance does not serve: %s%s", a.Failed, r.complaint(ctx))}
		}
		if !drills.Wait(ctx, readyEvery) {
			return context.Cause(ctx)
		}
	}
}

// point asks how far the restored data reach: the state lies between the newest thing in them and the one that would have
// followed.
func (r *restore) point(ctx context.Context) error {
	if r.Point == nil {
		return nil
	}
	a, err := r.box.ask(ctx, helper.Task{SQL: "set timezone = 'UTC'; " + r.Point.SQL, DSN: r.DSN, Limit: drills.Duration(answerLimit)})
	if err != nil {
		return err
	}
	if r.Point.OfRun && strings.Contains(a.Failed, noSuchTable) {
		return shortfall{"restore-point", "The restored instance holds nothing of what was written since this run began: the backup ends before it (" + a.Failed + ")"}
	}
	at, perr := time.Parse(pointLayout, a.Text)
	if a.Failed != "" || perr != nil {
		return shortfall{"restore-point", "The restored instance does not know how far it reaches: " + orText(a.Failed, fmt.Sprintf("%q is no time", a.Text))}
	}
	r.m.Point = &drills.Interval{From: at.UTC(), To: at.Add(r.Point.Every.D()).UTC()}
	r.m.Source = "newest row, the next one " + r.Point.Every.String() + " later"
	return nil
}

func orText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// ask asks every check.
func (r *restore) ask(ctx context.Context) error {
	for _, c := range r.Checks {
		begin := time.Now()
		a, err := r.box.ask(ctx, helper.Task{Command: c.Command, SQL: c.SQL, DSN: r.DSN, Limit: drills.Duration(answerLimit)})
		if err != nil {
			return err
		}
		out := c.judge(a, r.wants[c.Name])
		out.Took = drills.Duration(time.Since(begin))
		r.m.Checks = append(r.m.Checks, out)
	}
	return nil
}

// judge compares an answer with what is wanted.
func (c RestoreCheck) judge(a helper.Answer, live string) drills.RestoredCheck {
	out := drills.RestoredCheck{Name: c.Name, Want: c.Equals, Got: a.Text, Live: c.Equals == equalsLive}
	if out.Live {
		out.Want = live
	}
	number, nerr := strconv.ParseFloat(strings.TrimSpace(a.Text), 64)
	switch {
	case a.Failed != "":
		out.Got, out.Why = a.Failed, "it cannot be answered: "+a.Failed
	case c.Min != nil:
		out.Want = fmt.Sprintf(">= %g", *c.Min)
		out.OK = nerr == nil && number >= *c.Min
	case c.Tolerance > 0:
		want, err := strconv.ParseFloat(strings.TrimSpace(out.Want), 64)
		out.OK = nerr == nil && err == nil && math.Abs(number-want) <= c.Tolerance
	case c.Equals == "": // a command: it has ended well
		out.Want, out.OK = "the command ends well", true
	default:
		out.OK = a.Text == out.Want
	}
	return out
}
