package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// deadEngine is the reference system on an engine that is not there, with a suite beside it.
func deadEngine(t *testing.T, suite string) string {
	t.Helper()
	system := altered(t, "docker: {project: gad}", fmt.Sprintf("docker: {project: gad, host: %q}", "unix://"+filepath.Join(t.TempDir(), "docker.sock")), "cool-down: 5s", "cool-down: 1ms")
	for dir, text := range map[string]string{"suites/s.yaml": suite, "drills/a.yaml": aDrill("a"), "drills/b.yaml": aDrill("b")} {
		path := filepath.Join(filepath.Dir(system), dir)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return system
}

func aDrill(name string) string {
	return "version: 1\ndrill: " + name + "\ntitle: A member is frozen\nhypothesis: h\ntranslations: {es: {title: Un miembro se congela}}\ncomponent: redis\nenvironments: [reference]\n" +
		"method:\n  - {id: p, fault: pause, target: {component: redis}, duration: 5s}\n"
}

func suiteRun(t *testing.T, system string, args ...string) (int, string) {
	t.Helper()
	var out, errs strings.Builder
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, lookup: func(string) (string, bool) { return "", false }}
	code := run(t.Context(), append([]string{"--system", system, "--runs", t.TempDir()}, args...), e)
	return code, out.String() + errs.String()
}

// TestSuiteRunsEveryDrill: each has its record, and the worst of them is the exit code.
func TestSuiteRunsEveryDrill(t *testing.T) {
	system := deadEngine(t, "version: 1\nsuite: s\ntitle: S\ndrills: [{drill: a}, {drill: b}]\n")
	code, said := suiteRun(t, system, "--json", "run", "--suite", "s")
	var results []struct {
		Record drills.Record `json:"record"`
	}
	if err := json.Unmarshal([]byte(said), &results); err != nil || len(results) != 2 || code != drills.ExitUnproven {
		t.Fatalf("exit %d, %v: %s", code, err, said)
	}
	for i, want := range []string{"a", "b"} {
		if r := results[i].Record; r.Opened.Drill.Name != want || r.Outcome != drills.BlockedRun {
			t.Errorf("%s: %s, want %s", r.Opened.Drill.Name, r.Outcome, want)
		}
	}
}

// TestSuiteOverItsLimit: what did not begin is named and never counts as passed.
func TestSuiteOverItsLimit(t *testing.T) {
	system := deadEngine(t, "version: 1\nsuite: s\ntitle: S\nlimit: 1ns\ndrills: [{drill: a}, {drill: b}]\n")
	code, said := suiteRun(t, system, "--lang", "es", "run", "-q", "--suite", "s")
	if code != drills.ExitUnproven || !strings.Contains(said, "not run, and so not proven:\n  b ") || !strings.Contains(said, "Un miembro se congela") {
		t.Errorf("exit %d: %s", code, said)
	}
	if code := worstOf(t.Context(), nil, []job{{}}); code != drills.ExitUnproven {
		t.Errorf("left over: exit %d", code)
	}
}

// TestSuiteThatIsWrong: a typo in its last drill is found before the first begins.
func TestSuiteThatIsWrong(t *testing.T) {
	system := deadEngine(t, "version: 1\nsuite: s\ntitle: S\ndrills: [{drill: a}, {drill: bb}]\n")
	for _, args := range [][]string{{"run", "--suite", "s"}, {"validate"}} {
		code, said := suiteRun(t, system, args...)
		if code != drills.ExitInput || !strings.Contains(said, `there is no drill called "bb"`) || strings.Contains(said, "blocked") {
			t.Errorf("%v: exit %d: %s", args, code, said)
		}
	}
	if code, said := suiteRun(t, system, "run"); code != drills.ExitInput || !strings.Contains(said, "--suite") {
		t.Errorf("nothing named: exit %d: %s", code, said)
	}
}
