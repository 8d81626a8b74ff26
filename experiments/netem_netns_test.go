package experiments

import (
	"context"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// asHelper makes the test binary the helper.
const asHelper = "SIMULACRO_TEST_NET_HELPER"

// namespaced is a launcher of real helpers in a network namespace, which stands for a target's.
type namespaced struct {
	ns string
	// faults are the helpers that hold one, in their order.
	faults []*process
}

func (l *namespaced) Start(_ context.Context, p drills.Place, _ []string) (drills.Stream, error) {
	cmd := exec.Command("ip", "netns", "exec", l.ns, os.Args[0], "-test.run=^$")
	cmd.Env, cmd.Stderr = append(os.Environ(), asHelper+"=1"), os.Stderr
	s, err := begin(cmd)
	if err != nil {
		return nil, err
	}
	if p.Name != "inspect" {
		l.faults = append(l.faults, s)
	}
	return s, nil
}

// newNamespaced makes a target's namespace, with a cable to a peer 10.98.0.2 to which datagrams go all the time.
func newNamespaced(t *testing.T) *namespaced {
	t.Helper()
	if testing.Short() || os.Getenv("SIMULACRO_NO_DOCKER") != "" {
		t.Skip("needs root and the kernel, as the Docker tests do; not run with -short or SIMULACRO_NO_DOCKER")
	}
	l := &namespaced{ns: "simn" + strconv.Itoa(os.Getpid())}
	peer := l.ns + "p"
	for _, c := range []string{
		"ip netns add " + l.ns, "ip netns add " + peer, "ip link add cable netns " + l.ns + " type veth peer name cable netns " + peer,
		"ip -n " + l.ns + " addr add 10.98.0.1/24 dev cable", "ip -n " + peer + " addr add 10.98.0.2/24 dev cable",
		"ip -n " + l.ns + " link set cable up", "ip -n " + peer + " link set cable up",
	} {
		argv := strings.Fields(c)
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if argv[2] == "add" && argv[1] == "netns" && err == nil {
			t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", argv[3]).Run() })
		}
		if err == nil {
			continue
		}
		if os.Getenv("SIMULACRO_REQUIRE_DOCKER") == "1" {
			t.Fatalf("%s: %v: %s", c, err, out)
		}
		t.Skipf("%s: %v: %s", c, err, out)
	}
	l.talk(t)
	return l
}

// talk sends datagrams from inside until the test ends.
func (l *namespaced) talk(t *testing.T) {
	t.Helper()
	opened := make(chan net.Conn)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		file, err := os.Open("/var/run/netns/" + l.ns)
		if err == nil {
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
			_ = file.Close()
		}
		var c net.Conn
		if err == nil {
			c, err = net.Dial("udp4", "10.98.0.2:9")
		}
		if err != nil {
			t.Error(err)
		}
		opened <- c
	}()
	c := <-opened
	if c == nil {
		t.FailNow()
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = c.Close(); <-done })
	go func() {
		defer close(done)
		for {
			if _, err := c.Write([]byte("x")); err != nil && strings.Contains(err.Error(), "closed") {
				return // what else goes wrong is an ICMP answer: nobody listens there
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
}

func (l *namespaced) qdiscs(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("tc", "-n", l.ns, "qdisc", "show", "dev", "cable").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestRealNetemOfAKilledHelperIsRemovedByTheUndo: by the process that held the fault, and by a fresh one, as `simulacro
// restore` is.
func TestRealNetemOfAKilledHelperIsRemovedByTheUndo(t *testing.T) {
	l := newNamespaced(t)
	untouched := l.qdiscs(t)
	for _, by := range []string{"the holder", "a fresh process"} {
		t.Run(by, func(t *testing.T) {
			ended := make(chan string, 1)
			n := NewNet(l, nil, func(_, why string) { ended <- why })
			do, undo := latencyOps(t)
			var args trafficArgs
			if err := do.Decode(&args); err != nil {
				t.Fatal(err)
			}
			args.Peers = []peerAddress{{"peer", "10.98.0.2"}}
			args.Latency = &helper.Latency{Delay: drills.Duration(50 * time.Millisecond)}
			do, err := drills.NewOp(do.Verb, do.Target, args)
			if err != nil {
				t.Fatal(err)
			}
			e, err := n.Apply(t.Context(), do)
			if err != nil || !e.Proven {
				t.Fatalf("effect %+v, %v", e, err)
			}
			if why := evidenceOf(t, e).NotNetem; e.Source != helper.WayNetem && os.Getenv("SIMULACRO_REQUIRE_NETEM") == "" {
				_ = n.Close(t.Context())
				t.Skipf("not netem here (make test-netem boots a kernel that has it): %s", why)
			}
			t.Logf("%s: %s", e.Source, e.Evidence)
			if err := l.faults[len(l.faults)-1].cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-ended
			if there, err := n.Present(t.Context(), do); !there || err != nil || !strings.Contains(l.qdiscs(t), "netem") {
				t.Errorf("after the kill present %v, %v; %s", there, err, l.qdiscs(t))
			}
			undoer := n
			if by == "a fresh process" {
				undoer = NewNet(l, nil, nil)
			}
			u, err := undoer.Apply(t.Context(), undo)
			if err != nil || u.Skipped == "" {
				t.Errorf("undo %+v, %v", u, err)
			}
			if there, err := undoer.Present(t.Context(), do); there || err != nil || l.qdiscs(t) != untouched {
				t.Errorf("after the undo present %v, %v; %s", there, err, l.qdiscs(t))
			}
			if err := n.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
