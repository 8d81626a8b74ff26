package helper

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// lab is two fresh network namespaces with a cable between them: the target 10.99.0.1 / fd99::1 and the peer .2 / ::2.
type lab struct {
	t            *testing.T
	target, peer string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Getenv("SIMULACRO_NO_DOCKER") != "" {
		t.Skip("needs root and the kernel, as the Docker tests do; not run with SIMULACRO_NO_DOCKER")
	}
	l := &lab{t: t, target: fmt.Sprintf("simt%d", os.Getpid()), peer: fmt.Sprintf("simp%d", os.Getpid())}
	if out, err := exec.Command("ip", "netns", "add", l.target).CombinedOutput(); err != nil {
		why := fmt.Sprintf("cannot make a network namespace: %v: %s", err, out)
		if os.Getenv("SIMULACRO_REQUIRE_DOCKER") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	t.Cleanup(func() { l.run("ip", "netns", "del", l.target) })
	l.run("ip", "netns", "add", l.peer)
	t.Cleanup(func() { l.run("ip", "netns", "del", l.peer) })
	l.run("ip", "link", "add", "cable", "netns", l.target, "type", "veth", "peer", "name", "cable", "netns", l.peer)
	for i, ns := range []string{l.target, l.peer} {
		l.run("ip", "-n", ns, "addr", "add", fmt.Sprintf("10.99.0.%d/24", i+1), "dev", "cable")
		l.run("ip", "-n", ns, "addr", "add", fmt.Sprintf("fd99::%d/64", i+1), "dev", "cable", "nodad")
		l.run("ip", "-n", ns, "link", "set", "cable", "up")
		l.run("ip", "-n", ns, "link", "set", "lo", "up")
	}
	return l
}

func (l *lab) run(argv ...string) string {
	l.t.Helper()
	out, err := l.try(argv...)
	if err != nil {
		l.t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return out
}

func (l *lab) try(argv ...string) (string, error) {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	return string(out), err
}

// tables lists the target's tables as nft shows them.
func (l *lab) tables() []string {
	l.t.Helper()
	return strings.Split(strings.TrimSpace(l.run("ip", "netns", "exec", l.target, "nft", "list", "tables")), "\n")
}

// reaches says whether the target answers the peer; a refused connection is an answer.
func (l *lab) reaches(addr string) bool {
	cmd := exec.Command("ip", "netns", "exec", l.peer, os.Args[0])
	cmd.Env = append(os.Environ(), "SIMULACRO_TEST_DIAL="+net.JoinHostPort(addr, "9"))
	return cmd.Run() == nil
}

// answered ends well when the address answers a connection attempt in time.
func answered(addr string) int {
	c, err := net.DialTimeout("tcp", addr, 250*time.Millisecond)
	if err == nil {
		_ = c.Close()
	}
	if err == nil || errors.Is(err, syscall.ECONNREFUSED) {
		return 0
	}
	return 1
}

// until waits for a condition, polling, and fails the test when it does not come.
func (l *lab) until(what string, ok func() bool) {
	l.t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	l.t.Fatalf("never happened: %s", what)
}

// process is a real helper process in the target's namespace.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (l *lab) start(spec any) *process {
	l.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", l.target, os.Args[0])
	cmd.Env = append(os.Environ(), "SIMULACRO_TEST_HELPER=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	p := &process{t: l.t, cmd: cmd, in: in, out: bufio.NewReader(out)}
	l.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	b, err := json.Marshal(spec)
	if err != nil {
		l.t.Fatal(err)
	}
	p.send(drills.Frame{Type: "spec", Data: b})
	return p
}

func (p *process) send(f drills.Frame) {
	p.t.Helper()
	b, _ := json.Marshal(f)
	if _, err := p.in.Write(append(b, '\n')); err != nil {
		p.t.Fatal(err)
	}
}

// next reads frames until one of that type and decodes it.
func (p *process) next(kind string, into any) {
	p.t.Helper()
	for {
		line, err := p.out.ReadBytes('\n')
		if err != nil {
			p.t.Fatalf("no %q frame: %v", kind, err)
		}
		var f drills.Frame
		if err := json.Unmarshal(line, &f); err != nil {
			p.t.Fatalf("%s: %v", line, err)
		}
		if f.Type == "error" {
			p.t.Fatalf("helper: %s", f.Data)
		}
		if f.Type != kind {
			continue
		}
		if err := json.Unmarshal(f.Data, into); err != nil {
			p.t.Fatal(err)
		}
		return
	}
}

func (l *lab) partition(op string, lease time.Duration, direction string, peers ...string) (*process, Applied) {
	l.t.Helper()
	p := l.start(PartitionSpec{Kind: KindPartition, Op: op, Lease: drills.Duration(lease), Path: Path{Peers: peers, Direction: direction}})
	var a Applied
	p.next("ready", &a)
	return p, a
}

func TestPartitionInANetworkNamespace(t *testing.T) {
	if testing.Short() {
		t.Skip("makes network namespaces and waits for leases: not with -short")
	}
	l := newLab(t)
	l.run("ip", "netns", "exec", l.target, "nft", "add", "table", "ip", "unrelated")
	if !l.reaches("10.99.0.1") || !l.reaches("fd99::1") {
		t.Fatal("the lab's cable does not work")
	}
	t.Run("drops, tells, undoes at end of stream", l.untilEOF)
	t.Run("owner table goes with a killed helper", l.untilKilled)
	t.Run("lease ends it, renewing keeps it", l.untilLease)
	t.Run("one direction", l.oneWay)
	t.Run("an existing table is not touched", l.occupied)
	t.Run("a restarted target is noticed", l.untilDetached)
}

func (l *lab) clean(t *testing.T) {
	t.Helper()
	if got := l.tables(); !slices.Equal(got, []string{"table ip unrelated"}) {
		t.Errorf("tables %v, want only the unrelated one", got)
	}
}

func (l *lab) untilEOF(t *testing.T) {
	before := drills.Monotonic()
	p, a := l.partition("eof", 5*time.Second, Both, "10.99.0.2", "fd99::2")
	if a.AppliedFrom < before || a.AppliedTo < a.AppliedFrom || a.AppliedTo > drills.Monotonic() {
		t.Errorf("bracket %d..%d is not within the test", a.AppliedFrom, a.AppliedTo)
	}
	t.Logf("rules in force within %v", time.Duration(a.AppliedTo-a.AppliedFrom))
	if l.reaches("10.99.0.1") || l.reaches("fd99::1") {
		t.Error("the peer still reaches the target")
	}
	var b Beat
	for b.Peers["10.99.0.2"] == 0 || b.Peers["fd99::2"] == 0 {
		p.next("beat", &b)
	}
	var seen Inspected
	l.start(InspectSpec{Kind: KindInspect}).next("ready", &seen)
	if !slices.Equal(seen.Tables, []string{"simulacro_eof"}) {
		t.Errorf("inspect sees %v", seen.Tables)
	}
	_ = p.in.Close()
	var d Done
	p.next("done", &d)
	if d.Why != "eof" || d.Dropped < b.Dropped || d.UndoneMono < d.UndoneFrom || d.UndoneFrom < a.AppliedTo {
		t.Errorf("done %+v after %d dropped", d, b.Dropped)
	}
	if !l.reaches("10.99.0.1") || !l.reaches("fd99::1") {
		t.Error("the peer does not reach the target again")
	}
	l.clean(t)
}

func (l *lab) untilKilled(t *testing.T) {
	p, _ := l.partition("killed", 5*time.Second, "", "10.99.0.2")
	if l.reaches("10.99.0.1") {
		t.Error("the peer still reaches the target")
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	l.until("the owner's table is gone", func() bool { return len(l.tables()) == 1 })
	if !l.reaches("10.99.0.1") {
		t.Error("the peer does not reach the target again")
	}
	l.clean(t)
}

func (l *lab) untilLease(t *testing.T) {
	const lease = 600 * time.Millisecond
	p, a := l.partition("lease", lease, "", "10.99.0.2")
	for range 4 { // the renewals alone outlive the lease
		time.Sleep(lease / 3)
		p.send(drills.Frame{Type: "renew"})
	}
	var d Done
	p.next("done", &d)
	held := time.Duration(d.UndoneMono - a.AppliedTo)
	if d.Why != "lease" || held < 2*lease {
		t.Errorf("ended by %q after %v, want the lease after its renewals", d.Why, held)
	}
	l.clean(t)
}

func (l *lab) oneWay(t *testing.T) {
	p, _ := l.partition("oneway", 5*time.Second, In, "10.99.0.2")
	_ = l.reaches("10.99.0.1") // dropped at the target's input
	var b Beat
	for b.Dropped == 0 {
		p.next("beat", &b)
	}
	rules := l.run("ip", "netns", "exec", l.target, "nft", "list", "table", "ip", "simulacro_oneway")
	if strings.Contains(rules, "daddr") || !strings.Contains(rules, "saddr 10.99.0.2") {
		t.Errorf("rules of a partition of the input:\n%s", rules)
	}
	p.send(drills.Frame{Type: "stop"})
	var d Done
	if p.next("done", &d); d.Why != "stop" {
		t.Errorf("ended by %q, want stop", d.Why)
	}
	l.clean(t)
}

func (l *lab) occupied(t *testing.T) {
	l.run("ip", "netns", "exec", l.target, "nft", "add", "table", "ip", "simulacro_taken")
	defer l.run("ip", "netns", "exec", l.target, "nft", "delete", "table", "ip", "simulacro_taken")
	p := l.start(PartitionSpec{Kind: KindPartition, Op: "taken", Lease: drills.Duration(time.Second), Path: Path{Peers: []string{"10.99.0.2"}}})
	line, err := p.out.ReadString('\n')
	if err != nil || !strings.Contains(line, `"error"`) {
		t.Errorf("answer %q, %v, want an error frame", line, err)
	}
	if err := p.cmd.Wait(); err == nil {
		t.Error("the helper ended well")
	}
	if !slices.Contains(l.tables(), "table ip simulacro_taken") {
		t.Error("the existing table is gone")
	}
}

func (l *lab) untilDetached(t *testing.T) {
	p, _ := l.partition("detached", 5*time.Second, "", "10.99.0.2")
	l.run("ip", "-n", l.target, "link", "del", "cable")
	var d Done
	if p.next("done", &d); d.Why != "detached" {
		t.Errorf("ended by %q, want detached", d.Why)
	}
	if _, err := p.out.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after done came %v, want the end", err)
	}
	l.clean(t)
}
