package experiments

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

// The fault that CREATING_FAULTS.md builds, as it stands there.

// Reload makes a member read its settings again while it serves: SIGHUP to its main process.
type Reload struct {
	Signal string `yaml:"signal" json:"signal"`
}

func reloadKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "reload",
		Summary:  "Make a member read its settings again",
		Class:    drills.ClassHeals,
		Verbs:    []string{"unit.kill"},
		Duration: "none",
		Proof:    "the engine's kill event",
		Undo:     "none: the member goes on by itself",
	}, func() *Reload { return &Reload{Signal: "SIGHUP"} })
}

// Validate checks the parameters.
func (f *Reload) Validate() error {
	if f.Signal == "SIGKILL" || f.Signal == "SIGTERM" {
		return drills.Errorf(drills.Input, "use the fault kill", "reload: signal: %s ends the member", f.Signal)
	}
	return nil
}

// Plan signals each target.
func (f *Reload) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := noDuration(s, "reload"); err != nil {
		return nil, err
	}
	return each(s, plan{class: drills.ClassHeals, do: "unit.kill", doArgs: killArgs{Signal: f.Signal}})
}

// End of the fault.

func TestTheGuideBuildsAFaultThatPlans(t *testing.T) {
	s := scene("api-1")
	s.Duration = 0
	f, err := reloadKind().New(nil)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := f.Plan(s)
	if err != nil {
		t.Fatal(err)
	}
	want := drills.Change{
		Step: "cut", Member: "api-1", Class: drills.ClassHeals,
		Do: drills.Op{Verb: "unit.kill", Target: s.Targets[0].ID, Args: []byte(`{"signal":"SIGHUP"}`)},
	}
	if d := cmp.Diff([]drills.Change{want}, changes); d != "" {
		t.Errorf("changes (-want +got):\n%s", d)
	}
}

func TestTheGuideShowsTheFaultAsItIs(t *testing.T) {
	source, err := os.ReadFile("reload_test.go")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("CREATING_FAULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(source), "as it stands there.\n\n")
	fault, _, _ := strings.Cut(rest, "// End of the fault.")
	if fault = strings.TrimSpace(fault); fault == "" || !strings.Contains(string(guide), fault) {
		t.Errorf("CREATING_FAULTS.md does not show this fault:\n%s", fault)
	}
}
