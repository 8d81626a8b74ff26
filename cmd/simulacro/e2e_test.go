package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// The tests in the e2e files run against the reference system, which `make test` starts. What they break they mend.
const (
	refSystem = "../../compose/grupogad/system.yaml"
	refStack  = "../../compose/grupogad/stack"
	refState  = "../../compose/grupogad/.state/gad/secrets"
	drillsDir = "testdata/drills"
)

// e2e skips unless `make test` (short) or `make test-all` (long) asked for it; with the reference system asked for but
// missing, it fails.
func e2e(t *testing.T, long bool) {
	t.Helper()
	mode := os.Getenv("SIMULACRO_E2E")
	if mode == "" || (long && mode != "long") {
		t.Skip("needs the reference system: make test, or make test-all for the long ones")
	}
	if os.Getenv("SIMULACRO_BINARY") == "" {
		t.Fatal("SIMULACRO_BINARY must name the static binary (make build)")
	}
}

// runDrill runs one drill in this process and returns its record and exit code.
func runDrill(t *testing.T, runs, system string, args ...string) (drills.Record, int) {
	t.Helper()
	return runWith(t, []string{"--system", system, "--profile", "ci", "--runs", runs, "--json", "run", "--purpose", "ci"}, args...)
}

func runWith(t *testing.T, flags []string, args ...string) (drills.Record, int) {
	t.Helper()
	var out, errs bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, lookup: os.LookupEnv, binary: os.Getenv("SIMULACRO_BINARY")}
	code := run(t.Context(), append(flags, args...), e)
	var results []struct {
		Record drills.Record `json:"record"`
		Dir    string        `json:"dir"`
	}
	if err := json.Unmarshal(out.Bytes(), &results); err != nil || len(results) != 1 {
		t.Fatalf("exit %d, output %s %s", code, out.String(), errs.String())
	}
	rec := results[0].Record
	t.Logf("%s: %s (%s) %q in %s", rec.Opened.Drill.Name, rec.Outcome, rec.Cause, rec.Sentence, rec.Ended.Sub(rec.Started).Round(time.Second))
	for _, j := range rec.Expectations {
		t.Logf("   %-20s %-12s %s", j.ID, j.Verdict, j.Actual)
	}
	return rec, code
}

func e2eDrill(name string) string { return filepath.Join(drillsDir, name+".yaml") }

// service is the id of a service's container in the reference project.
func service(t *testing.T, name string) string {
	t.Helper()
	out := docker(t, "ps", "-aq", "--filter", "label=com.docker.compose.project=gad", "--filter", "label=com.docker.compose.service="+name)
	if out == "" {
		t.Fatalf("the reference system has no %s: make up", name)
	}
	return out
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func sh(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func secret(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(refState, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// redisPrimaries asks every Redis member itself, by redis-cli inside its container: no code of ours.
func redisPrimaries(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, name := range []string{"redis-1", "redis-2", "redis-3"} {
		cmd := exec.Command("docker", "exec", "-e", "REDISCLI_AUTH="+secret(t, "REDIS_PASSWORD"), service(t, name), "timeout", "2", "redis-cli", "role")
		b, err := cmd.Output()
		if err == nil && strings.HasPrefix(string(b), "master") {
			out = append(out, name)
		}
	}
	return out
}

// pgPrimaries asks every PostgreSQL member itself, by psql over its socket.
func pgPrimaries(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, name := range []string{"pg-1", "pg-2", "pg-3"} {
		b, err := exec.Command("docker", "exec", service(t, name), "timeout", "3", "psql", "-h", "/tmp", "-U", "postgres", "-Atc", "select pg_is_in_recovery()").Output()
		if err == nil && strings.TrimSpace(string(b)) == "f" {
			out = append(out, name)
		}
	}
	return out
}

// eventually waits for a condition that is looked at from outside.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for {
		if ok() {
			return time.Since(begin)
		}
		if time.Since(begin) > limit {
			t.Fatalf("after %s: not %s", limit, what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// whole waits until the reference system is as it should be: every container up and healthy, one primary per store, both
// with their replicas, no alert firing.
func whole(t *testing.T) {
	t.Helper()
	eventually(t, 2*time.Minute, "every container running and healthy", func() bool {
		return exec.Command(refStack, "status").Run() == nil
	})
	eventually(t, time.Minute, "one primary per store", func() bool { return len(redisPrimaries(t)) == 1 && len(pgPrimaries(t)) == 1 })
	eventually(t, time.Minute, "two Redis replicas in sync and no alert", func() bool {
		var out, errs bytes.Buffer
		e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, lookup: os.LookupEnv, binary: os.Getenv("SIMULACRO_BINARY")}
		return run(t.Context(), []string{"--system", refSystem, "plan", e2eDrill("e2e-redis-kill")}, e) == 0
	})
}

// nothingLeft looks for anything of ours on the engine, from outside.
func nothingLeft(t *testing.T) {
	t.Helper()
	if out := docker(t, "ps", "-a", "--filter", "label=io.simulacro.run", "--format", "{{.Names}} {{.Status}}"); out != "" {
		t.Errorf("containers of ours are still there:\n%s", out)
	}
}

// apiDefects switches the named defects of both API instances.
func apiDefects(t *testing.T, names ...string) {
	t.Helper()
	for _, inst := range []string{"api-1", "api-2"} {
		base := "http://" + docker(t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", service(t, inst)) + ":8000"
		body, _ := json.Marshal(map[string]any{"defects": append([]string{}, names...)})
		call(t, http.MethodPut, base+"/_reference/defects", token(t, base), body)
	}
}

func token(t *testing.T, base string) string {
	t.Helper()
	res, err := http.PostForm(base+"/auth/login", url.Values{"username": {"admin@gad.example"}, "password": {secret(t, "ADMIN_PASSWORD")}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || out.Token == "" {
		t.Fatalf("login: %v %d", err, res.StatusCode)
	}
	return out.Token
}

func call(t *testing.T, method, url, token string, body []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // the test's own is over when it mends
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		b, _ := io.ReadAll(res.Body)
		t.Fatalf("%s %s: %d %s", method, url, res.StatusCode, b)
	}
}

// sentinels sets down-after-milliseconds on every Sentinel, by redis-cli.
func sentinels(t *testing.T, downAfterMS string) {
	t.Helper()
	for _, name := range []string{"sentinel-1", "sentinel-2", "sentinel-3"} {
		docker(t, "exec", service(t, name), "redis-cli", "-p", "26379", "sentinel", "set", "gad", "down-after-milliseconds", downAfterMS)
	}
}
