package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const secondDir = "../../examples/two-nginx"

// TestSecondSystem: a system that has nothing to do with the reference one is drilled by YAML alone, with the catalogue's
// generic drills.
func TestSecondSystem(t *testing.T) {
	e2e(t, true)
	settings := second(t, append(os.Environ(), "BASE=gad/base:dev"), "./images")
	env := os.Environ()
	for line := range strings.FieldsSeq(strings.TrimPrefix(settings, "export ")) {
		env = append(env, line)
	}
	compose := func(args ...string) {
		second(t, env, composeTool(), append([]string{"-p", "two-nginx", "-f", "docker-compose.yaml"}, args...)...)
	}
	t.Cleanup(func() { compose("down", "-v", "-t", "1") })
	compose("up", "-d")
	time.Sleep(3 * time.Second) // nginx and Redis have no health check in ten lines
	system := filepath.Join(secondDir, "system.yaml")
	for _, drill := range []string{"member-kill", "member-pause"} {
		rec, code := runDrill2(t, system, drill, "--component", "web")
		if rec.Outcome != drills.Pass || code != drills.ExitPass {
			t.Errorf("%s: %s (%s), exit %d: %s", drill, rec.Outcome, rec.Cause, code, rec.Sentence)
		}
	}
	nothingLeft(t)
}

// runDrill2 is runDrill without a profile: this system has none.
func runDrill2(t *testing.T, system string, args ...string) (drills.Record, int) {
	t.Helper()
	return runWith(t, []string{"--system", system, "--runs", t.TempDir(), "--json", "run", "--purpose", "ci"}, args...)
}

func composeTool() string {
	if exec.Command("docker", "compose", "version").Run() == nil {
		return "docker compose"
	}
	return "docker-compose"
}

// second runs a command in the example's folder and returns its standard output.
func second(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	words := append(strings.Fields(name), args...)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env = secondDir, env
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", words, err, errs.String())
	}
	return strings.TrimSpace(string(out))
}
