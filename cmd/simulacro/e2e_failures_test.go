package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// altered is a copy of the reference system's file with some text replaced, beside the original's secrets.
func altered(t *testing.T, oldNew ...string) string {
	t.Helper()
	b, err := os.ReadFile(refSystem)
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := filepath.Abs(refState)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(string(b), oldNew[i]) {
			t.Fatalf("the system file has no %q to be altered", oldNew[i])
		}
	}
	text := strings.NewReplacer(append(oldNew, ".state/gad/secrets", secrets)...).Replace(string(b))
	path := filepath.Join(t.TempDir(), "system.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestEngineOutOfReachIsABlockedRun: no engine, or none that this user may use, is on record as blocked, with what to do.
func TestEngineOutOfReachIsABlockedRun(t *testing.T) {
	stale := filepath.Join(t.TempDir(), "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	for _, tt := range []struct{ name, socket, says string }{
		{"no such socket", filepath.Join(t.TempDir(), "docker.sock"), "there is no Docker engine at"},
		{"no engine behind it", stale, "systemctl start docker"},
		{"a remote engine", "tcp://127.0.0.1:1", "not a local unix socket"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host := tt.socket
			if !strings.Contains(host, "://") {
				host = "unix://" + host
			}
			system := altered(t, "docker: {project: gad}", fmt.Sprintf("docker: {project: gad, host: %q}", host))
			var out, errs strings.Builder
			e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, lookup: func(string) (string, bool) { return "", false }}
			code := run(t.Context(), []string{"--system", system, "--runs", t.TempDir(), "run", "-q", e2eDrill("e2e-redis-kill")}, e)
			if said := out.String() + errs.String(); code != drills.ExitUnproven || !strings.Contains(said, tt.says) {
				t.Errorf("exit %d, want %d; said %q, want %q in it", code, drills.ExitUnproven, said, tt.says)
			}
		})
	}
}

// TestEngineWithoutPermission: a user outside the docker group is told so, and nothing is touched.
func TestEngineWithoutPermission(t *testing.T) {
	e2e(t, false)
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody without permission")
	}
	dir := open(t, filepath.Join(t.TempDir(), "nobody"))
	binary := filepath.Join(dir, "simulacro")
	text, err := os.ReadFile(os.Getenv("SIMULACRO_BINARY"))
	if err == nil {
		err = os.WriteFile(binary, text, 0o755) //nolint:gosec // nobody has to start it
	}
	if err != nil {
		t.Fatal(err)
	}
	system := filepath.Join(dir, "system.yaml")
	sh(t, "cp", altered(t, "title: GRUPO_GAD", "title: a copy of GRUPO_GAD"), system)
	sh(t, "cp", e2eDrill("e2e-redis-pause"), dir)
	sh(t, "chown", "-R", "nobody", dir)
	cmd := exec.Command(binary, "--system", system, "--runs", filepath.Join(dir, "runs"), "run", "-q", filepath.Join(dir, "e2e-redis-pause.yaml"))
	cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != drills.ExitUnproven || !strings.Contains(string(out), "permission") || !strings.Contains(string(out), "docker") {
		t.Errorf("exit %d, want %d\n%s", code, drills.ExitUnproven, out)
	}
	nothingLeft(t)
}

// open makes a folder that any user may pass through, and its parents too.
func open(t *testing.T, dir string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // on purpose
		t.Fatal(err)
	}
	for at := dir; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil { //nolint:gosec // on purpose
			t.Fatal(err)
		}
	}
	return dir
}

// TestMonitoringOutOfReachBlocks: a drill that is to be judged by alerts is not begun without Prometheus, and every reason is
// given at once.
func TestMonitoringOutOfReachBlocks(t *testing.T) {
	e2e(t, false)
	system := altered(t, "http://prometheus:9090", "http://prometheus:9999", "http://alertmanager:9093", "http://alertmanager:9999")
	rec, code := runDrill(t, t.TempDir(), system, e2eDrill("e2e-redis-kill"))
	if rec.Outcome != drills.BlockedRun || code != drills.ExitUnproven {
		t.Errorf("%s (%s), exit %d", rec.Outcome, rec.Cause, code)
	}
	for _, want := range []string{"prometheus", "alertmanager"} {
		if !strings.Contains(strings.ToLower(rec.Sentence), want) {
			t.Errorf("sentence %q does not name %s", rec.Sentence, want)
		}
	}
	if len(rec.Faults) > 0 {
		t.Errorf("a blocked run has faults: %+v", rec.Faults)
	}
	nothingLeft(t)
}

// TestTakenPortStartsNothing: the stack names the port and the variable that moves it.
func TestTakenPortStartsNothing(t *testing.T) {
	e2e(t, false)
	cmd := exec.Command(refStack, "up")
	cmd.Env = append(os.Environ(), "GAD_PROJECT=gadtwo")
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(string(out), "taken") || !strings.Contains(string(out), "GAD_PORT_CADDY=") {
		t.Errorf("exit %d, want 3\n%s", code, out)
	}
	if left := docker(t, "ps", "-aq", "--filter", "label=com.docker.compose.project=gadtwo"); left != "" {
		t.Errorf("containers were started: %s", left)
	}
}

// smallDisk is a file system of its own for runs.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	dir := t.TempDir()
	sh(t, "mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir)
	t.Cleanup(func() { sh(t, "umount", dir) })
	return dir
}

func fillDisk(t *testing.T, dir string) {
	t.Helper()
	_ = exec.Command("dd", "if=/dev/zero", "of="+filepath.Join(dir, "filler"), "bs=64k").Run() // ends with: no space left
}

// TestDiskFillsMidRun: the fault is lifted and the run ends as our own failure (exit 10), on record.
func TestDiskFillsMidRun(t *testing.T) {
	e2e(t, false)
	whole(t)
	runs := smallDisk(t, "24m")
	v := startVictim(t, runs, "e2e-redis-pause")
	v.until(t, "took effect")
	at := time.Now()
	fillDisk(t, runs)
	<-v.ended
	if code := v.cmd.ProcessState.ExitCode(); code != drills.ExitInternal {
		t.Errorf("exit %d, want %d\n%s", code, drills.ExitInternal, v.said())
	}
	if !strings.Contains(v.said(), "no space left on device") {
		t.Errorf("the disk is not named:\n%s", v.said())
	}
	if strings.Contains(v.said(), "its duration was over") {
		t.Error("it went on until the fault's own end although nothing could be recorded any more")
	}
	t.Logf("ended %s after the disk was full", time.Since(at).Round(time.Millisecond))
	if network, units := faults(t); len(network)+len(units) > 0 {
		t.Errorf("left: %v %v", network, units)
	}
	nothingLeft(t)
	for _, rec := range records(t, runs) {
		if rec.Outcome == drills.Pass || rec.Dirty {
			t.Errorf("on record as %s, dirty %v: %s", rec.Outcome, rec.Dirty, rec.Sentence)
		}
	}
}

// TestDiskFullAtTheStart: a run that cannot be recorded is not begun.
func TestDiskFullAtTheStart(t *testing.T) {
	e2e(t, false)
	whole(t)
	runs := smallDisk(t, "1m")
	fillDisk(t, runs)
	v := startVictim(t, runs, "e2e-redis-pause")
	<-v.ended
	if code := v.cmd.ProcessState.ExitCode(); code != drills.ExitInternal || strings.Contains(v.said(), "took effect") {
		t.Errorf("exit %d, want %d\n%s", code, drills.ExitInternal, v.said())
	}
	nothingLeft(t)
}
