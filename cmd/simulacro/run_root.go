package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/scenario"
)

// app is one invocation: the world, and the flags that every command shares.
type app struct {
	*env
	systemFile string
	project    string
	profile    string
	runs       string
	language   string
	asJSON     bool
	verbose    bool
	began      bool // the command line was understood: what goes wrong from here on is not usage
}

// exit carries an exit code whose story has been printed already.
type exit struct{ code int }

func (e exit) Error() string { return fmt.Sprintf("exit %d", e.code) }

// run is the whole program: it returns the exit code.
func run(ctx context.Context, args []string, e *env) int {
	silenceLibraries()
	ctx, stop := withSignals(ctx, e.stderr)
	defer stop()
	a := &app{env: e}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetIn(e.stdin)
	root.PersistentPreRun = func(*cobra.Command, []string) { a.began = true }
	return a.code(root.ExecuteContext(ctx))
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "simulacro",
		Short: "Disaster-recovery drills whose results can be believed",
		Long: "simulacro breaks a real system on purpose, times the recovery that users see against RTO and RPO,\n" +
			"and writes evidence. Every fault is undone, however this program ends.",
		SilenceUsage: true, SilenceErrors: true, Version: version,
	}
	f := root.PersistentFlags()
	f.StringVar(&a.systemFile, "system", a.or("SIMULACRO_SYSTEM", "system.yaml"), "the system file (SIMULACRO_SYSTEM)")
	f.StringVar(&a.project, "project", "", "another Compose project than the system file names (environment reference or test only)")
	f.StringVar(&a.profile, "profile", a.or("SIMULACRO_PROFILE", ""), "the objectives profile in force (SIMULACRO_PROFILE)")
	f.StringVar(&a.runs, "runs", a.or("SIMULACRO_RUNS", "runs"), "the folder that runs are kept in (SIMULACRO_RUNS)")
	f.StringVar(&a.language, "lang", a.or("SIMULACRO_LANG", "en"), "the language of titles: en or es (SIMULACRO_LANG)")
	f.BoolVar(&a.asJSON, "json", false, "print JSON where a program might read")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "log what the tool itself does to stderr")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return drills.Wrap(drills.Usage, err, "the command line", "see --help")
	})
	root.AddCommand(a.runCmd(), a.planCmd(), a.validateCmd(), a.listCmd(), a.doctorCmd(), a.initCmd(), a.statusCmd(), a.abortCmd(), a.confirmCmd(),
		a.haltCmd(), a.resumeCmd(), a.restoreCmd(), a.serveCmd(), a.calendarCmd(), a.reportCmd(), a.verifyCmd(), a.calibrateCmd(), a.versionCmd(), agentCmd())
	return root
}

func (a *app) or(key, def string) string {
	if v, ok := a.lookup(key); ok && v != "" {
		return v
	}
	return def
}

// code prints an error that has not been printed and turns it into the exit code of DESIGN section 7.
func (a *app) code(err error) int {
	var e exit
	switch {
	case err == nil:
		return drills.ExitPass
	case errors.As(err, &e):
		return e.code
	}
	var problems scenario.Errors
	switch {
	case a.asJSON && errors.As(err, &problems):
		a.json(map[string]any{"error": "input", "problems": problems})
	case a.asJSON:
		a.json(map[string]any{"error": drills.CodeOf(err), "message": err.Error()})
	default:
		fmt.Fprintln(a.stderr, "simulacro:", err)
	}
	if !a.began {
		return drills.ExitInput // cobra found it
	}
	return exitCode(err)
}

// exitCode is the exit code of an error; one without a code is our own failure.
func exitCode(err error) int {
	switch drills.CodeOf(err) {
	case drills.Input, drills.Usage:
		return drills.ExitInput
	case drills.Blocked, drills.Locked:
		return drills.ExitUnproven
	case drills.Residual:
		return drills.ExitResidue
	}
	return drills.ExitInternal
}

func (a *app) json(v any) {
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // a reader that went away is no reason to stop
}

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.stdout, format, args...) }

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		if a.asJSON {
			a.json(map[string]string{"version": version, "schema": drills.Schema})
			return nil
		}
		a.printf("simulacro %s (%s)\n", version, drills.Schema)
		return nil
	}}
}
