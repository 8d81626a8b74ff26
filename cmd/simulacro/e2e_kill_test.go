package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/journal"
)

// The deadlines of safety: how long a fault may outlive the tool.
const (
	netDeadline  = 2 * time.Second
	unitDeadline = 10 * time.Second
	lease        = 5 * time.Second
)

// victim is a `simulacro run` in a process group of its own, to be killed.
type victim struct {
	cmd   *exec.Cmd
	runs  string
	mu    sync.Mutex
	lines []string
	ended chan struct{}
}

func startVictim(t *testing.T, runs, drill string) *victim {
	t.Helper()
	return startTool(t, runs, "--system", refSystem, "--profile", "ci", "--runs", runs, "run", "--purpose", "ci", e2eDrill(drill))
}

func startTool(t *testing.T, runs string, args ...string) *victim {
	t.Helper()
	v := &victim{runs: runs, ended: make(chan struct{})}
	v.cmd = exec.Command(os.Getenv("SIMULACRO_BINARY"), args...)
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	v.cmd.Stderr = v.cmd.Stdout
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(v.ended)
		s := bufio.NewScanner(out)
		for s.Scan() {
			v.mu.Lock()
			v.lines = append(v.lines, s.Text())
			v.mu.Unlock()
		}
		_ = v.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-v.cmd.Process.Pid, syscall.SIGKILL)
		<-v.ended
		if t.Failed() {
			t.Logf("the run said:\n%s", v.said())
		}
	})
	return v
}

func (v *victim) said() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return strings.Join(v.lines, "\n")
}

func (v *victim) running() bool {
	select {
	case <-v.ended:
		return false
	default:
		return true
	}
}

// until waits until the run has said something.
func (v *victim) until(t *testing.T, what string) {
	t.Helper()
	eventually(t, 90*time.Second, "saying "+what+":\n"+v.said(), func() bool {
		return !v.running() || strings.Contains(v.said(), what)
	})
}

// faults looks, from outside our own code, for what a drill may have left: nftables tables in the network namespaces of the
// reference containers (nft), and containers that are paused or not running (docker).
func faults(t *testing.T) (network, units []string) {
	t.Helper()
	for line := range strings.Lines(docker(t, "ps", "-a", "--filter", "label=com.docker.compose.project=gad", "--format", "{{.ID}} {{.Names}} {{.State}}")) {
		f := strings.Fields(line)
		if f[2] != "running" {
			units = append(units, f[1]+" "+f[2])
			continue
		}
		if !strings.Contains(f[1], "redis-") || strings.Contains(f[1], "exporter") {
			continue
		}
		pid := docker(t, "inspect", "-f", "{{.State.Pid}}", f[0])
		out, err := exec.Command("nsenter", "-t", pid, "-n", "nft", "list", "tables").CombinedOutput()
		if err != nil {
			continue // it stopped between the two questions; the next look tells
		}
		if bytes.Contains(out, []byte("simulacro")) {
			network = append(network, f[1])
		}
	}
	return network, units
}

// gone waits for both kinds of faults to be gone, each within its own deadline from the moment of the kill.
func gone(t *testing.T, from time.Time, slack time.Duration) {
	t.Helper()
	for {
		network, units := faults(t)
		if len(network) == 0 && len(units) == 0 {
			return
		}
		if since := time.Since(from); (len(network) > 0 && since > netDeadline+slack) || (len(units) > 0 && since > unitDeadline+slack) {
			t.Fatalf("%s after the kill there are still: network %v, units %v", since.Round(time.Millisecond), network, units)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// settled checks what must hold after a kill without any later start, and then what the next start makes of the run.
func settled(t *testing.T, v *victim) {
	t.Helper()
	eventually(t, time.Minute, "one primary per store", func() bool { return len(redisPrimaries(t)) == 1 && len(pgPrimaries(t)) == 1 })
	out, err := exec.Command(os.Getenv("SIMULACRO_BINARY"), "--system", refSystem, "--runs", v.runs, "restore").CombinedOutput()
	if err != nil {
		t.Fatalf("restore: %v\n%s", err, out)
	}
	nothingLeft(t)
	for _, rec := range records(t, v.runs) {
		if rec.Dirty || rec.Outcome == drills.Missed {
			t.Errorf("the killed run is on record as %s (%s), dirty %v: %s", rec.Outcome, rec.Cause, rec.Dirty, rec.Sentence)
		}
	}
}

func records(t *testing.T, runs string) []drills.Record {
	t.Helper()
	infos, err := journal.List(runs)
	if err != nil {
		t.Fatal(err)
	}
	var out []drills.Record
	for _, info := range infos {
		c, err := journal.Read(info.Dir)
		if err != nil || c.Broken != nil {
			t.Fatalf("journal of %s: %v %v", info.ID, err, c.Broken)
		}
		if info.State != journal.ClosedRun {
			t.Errorf("run %s is %s", info.ID, info.State)
		}
		out = append(out, drills.Fold(c.Events))
	}
	return out
}

// kills are the ways in which the tool may die.
func kill9(v *victim)     { _ = v.cmd.Process.Kill() }
func killGroup(v *victim) { _ = syscall.Kill(-v.cmd.Process.Pid, syscall.SIGKILL) }

func TestKilledInEveryPhase(t *testing.T) {
	e2e(t, false)
	phases := []string{"== ready", "== steady", "== injecting", "took effect", "== observing", "undone", "== verifying"}
	names := []string{"e2e-redis-partition", "e2e-redis-pause"}
	if os.Getenv("SIMULACRO_E2E") != "long" {
		phases = []string{"took effect"}
		names = names[:1]
	}
	for _, name := range names {
		for _, phase := range phases {
			t.Run(name+" at "+strings.Trim(phase, "= "), func(t *testing.T) {
				whole(t)
				v := startVictim(t, t.TempDir(), name)
				v.until(t, phase)
				at := time.Now()
				kill9(v)
				gone(t, at, 0)
				settled(t, v)
			})
		}
	}
}

func TestKilledContainerFaultIsLiftedByTheGuard(t *testing.T) {
	e2e(t, false)
	whole(t)
	v := startVictim(t, t.TempDir(), "e2e-redis-pause")
	v.until(t, "took effect")
	at := time.Now()
	killGroup(v)
	gone(t, at, 0)
	t.Logf("gone after %s", time.Since(at).Round(time.Millisecond))
	settled(t, v)
}

func TestStoppedToolLosesItsLease(t *testing.T) {
	e2e(t, false)
	for _, name := range []string{"e2e-redis-pause", "e2e-redis-partition"} {
		t.Run(name, func(t *testing.T) {
			e2e(t, name == "e2e-redis-partition")
			whole(t)
			v := startVictim(t, t.TempDir(), name)
			v.until(t, "took effect")
			at := time.Now()
			_ = v.cmd.Process.Signal(syscall.SIGSTOP)
			gone(t, at, lease+time.Second) // the last renewal may have just gone out: one period
			_ = v.cmd.Process.Signal(syscall.SIGCONT)
			v.until(t, "== closed") // an orchestrator that lost its lease stops itself
			<-v.ended
			settled(t, v)
		})
	}
}

func TestToolAndGuardKilledTogether(t *testing.T) {
	e2e(t, true)
	whole(t)
	v := startVictim(t, t.TempDir(), "e2e-redis-pause")
	v.until(t, "took effect")
	killGroup(v)
	_ = exec.Command("docker", "kill", "simulacro-guard-gad").Run() // it may have ended by itself already
	settled(t, v)
	eventually(t, 10*time.Second, "nothing left after the next start", func() bool {
		network, units := faults(t)
		return len(network) == 0 && len(units) == 0
	})
}

func TestKilledAtRandomMoments(t *testing.T) {
	e2e(t, true)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range 20 {
		name := []string{"e2e-redis-partition", "e2e-redis-pause", "e2e-redis-kill"}[i%3]
		wait := time.Duration(r.Int64N(int64(35 * time.Second)))
		t.Run(fmt.Sprintf("%d %s after %s", i, name, wait.Round(time.Millisecond)), func(t *testing.T) {
			whole(t)
			v := startVictim(t, t.TempDir(), name)
			select {
			case <-time.After(wait):
			case <-v.ended:
			}
			at := time.Now()
			killGroup(v)
			gone(t, at, 0)
			settled(t, v)
		})
	}
}

// TestInterrupted: Ctrl-C restores, reports and exits 4; a second one does not skip restoring.
func TestInterrupted(t *testing.T) {
	e2e(t, false)
	whole(t)
	v := startVictim(t, t.TempDir(), "e2e-redis-pause")
	v.until(t, "took effect")
	_ = v.cmd.Process.Signal(os.Interrupt)
	time.Sleep(300 * time.Millisecond)
	_ = v.cmd.Process.Signal(os.Interrupt)
	<-v.ended
	if code := v.cmd.ProcessState.ExitCode(); code != drills.ExitAborted {
		t.Errorf("exit %d, want %d\n%s", code, drills.ExitAborted, v.said())
	}
	if network, units := faults(t); len(network)+len(units) > 0 {
		t.Errorf("left: %v %v", network, units)
	}
	nothingLeft(t)
	if rec := records(t, v.runs)[0]; rec.Outcome != drills.Aborted || rec.Cause != string(drills.StopOperator) {
		t.Errorf("on record: %s (%s)", rec.Outcome, rec.Cause)
	}
}

// TestSecondOrchestratorIsRefused: the guard's name is the lock.
func TestSecondOrchestratorIsRefused(t *testing.T) {
	e2e(t, true)
	whole(t)
	v := startVictim(t, t.TempDir(), "e2e-redis-pause")
	v.until(t, "== steady")
	rec, code := runDrill(t, t.TempDir(), refSystem, e2eDrill("e2e-redis-pause"))
	if rec.Outcome != drills.BlockedRun || code != drills.ExitUnproven || !strings.Contains(rec.Sentence, onlyRun(t, v.runs)) {
		t.Errorf("%s, exit %d: %q", rec.Outcome, code, rec.Sentence)
	}
	_ = v.cmd.Process.Signal(os.Interrupt)
	<-v.ended
	nothingLeft(t)
}

// onlyRun is the id of the one run under a root, live or not.
func onlyRun(t *testing.T, runs string) string {
	t.Helper()
	infos, err := journal.List(runs)
	if err != nil || len(infos) != 1 {
		t.Fatalf("%v %v", infos, err)
	}
	return infos[0].ID
}
