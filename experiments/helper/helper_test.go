package helper

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/eevans-d/simulacro/drills"
)

// TestMain lets this test binary be the helper process, so that tests can run and kill a real one.
func TestMain(m *testing.M) {
	if addr := os.Getenv("SIMULACRO_TEST_DIAL"); addr != "" {
		os.Exit(answered(addr))
	}
	if size := os.Getenv("SIMULACRO_TEST_HOLDS"); size != "" {
		holdsMemory(size)
	}
	if os.Getenv("SIMULACRO_TEST_CELL") != "" {
		panic(enterCell())
	}
	if os.Getenv("SIMULACRO_TEST_HELPER") == "" {
		os.Exit(m.Run())
	}
	if Main(context.Background(), os.Stdin, os.Stdout) != nil {
		os.Exit(1)
	}
}

// call runs Main in this process on one spec and returns its frames and its error.
func call(t *testing.T, spec string) ([]drills.Frame, error) {
	t.Helper()
	var out bytes.Buffer
	err := Main(t.Context(), strings.NewReader(`{"type":"spec","data":`+spec+"}\n"), &out)
	var frames []drills.Frame
	for d := json.NewDecoder(&out); ; {
		var f drills.Frame
		if e := d.Decode(&f); e == io.EOF {
			return frames, err
		} else if e != nil {
			t.Fatalf("not a frame: %v", e)
		}
		frames = append(frames, f)
	}
}

func TestBadSpecsAreRefusedInWords(t *testing.T) {
	id := strings.Repeat("a", 64)
	cases := []struct{ name, spec, want string }{
		{"kind", `{"kind":"latency"}`, `kind "latency"`},
		{"unknown field", `{"kind":"inspect","deep":true}`, `unknown field "deep"`},
		{"no lease", `{"kind":"partition","op":"a","peers":["10.0.0.1"]}`, "lease is required"},
		{"op", `{"kind":"partition","op":"a b","lease":"1s","peers":["10.0.0.1"]}`, "cannot name a table"},
		{"no peers", `{"kind":"partition","op":"a","lease":"1s"}`, "peers is empty"},
		{"name as peer", `{"kind":"partition","op":"a","lease":"1s","peers":["redis-1"]}`, "not an IP address"},
		{"loopback", `{"kind":"partition","op":"a","lease":"1s","peers":["127.0.0.1"]}`, "not the address of another host"},
		{"direction", `{"kind":"partition","op":"a","lease":"1s","peers":["10.0.0.1"],"direction":"up"}`, `direction "up"`},
		{"port", `{"kind":"partition","op":"a","lease":"1s","peers":["10.0.0.1"],"ports":[70000]}`, "70000 is not a port"},
		{"protocol", `{"kind":"traffic","op":"a","lease":"1s","protocol":"gre","loss":{"share":1}}`, `protocol "gre"`},
		{"no effect", `{"kind":"traffic","op":"a","lease":"1s"}`, "0 effects"},
		{"two effects", `{"kind":"traffic","op":"a","lease":"1s","loss":{"share":1},"reset":{"share":1}}`, "2 effects"},
		{"no lease for traffic", `{"kind":"traffic","op":"a","loss":{"share":1}}`, "lease is required"},
		{"share", `{"kind":"traffic","op":"a","lease":"1s","loss":{"share":1.5}}`, "share 1.5"},
		{"distribution", `{"kind":"traffic","op":"a","lease":"1s","latency":{"delay":"1s","distribution":"x"}}`, `distribution "x"`},
		{"copies for nobody", `{"kind":"traffic","op":"a","lease":"1s","duplication":{"share":0.1}}`, "needs peers"},
		{"reset of udp", `{"kind":"traffic","op":"a","lease":"1s","protocol":"udp","reset":{"share":1}}`, "only tcp"},
		{"dns mode", `{"kind":"traffic","op":"a","lease":"1s","dns":{"mode":"odd"}}`, `mode "odd"`},
		{"pid 1", `{"kind":"kill","pid":1,"container":"` + id + `"}`, "pid 1"},
		{"short id", `{"kind":"kill","pid":7,"container":"abc"}`, "full container id"},
		{"signal", `{"kind":"kill","pid":7,"container":"` + id + `","signal":"SIGNONE"}`, "SIGNONE"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			frames, err := call(t, c.spec)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			if len(frames) != 1 || frames[0].Type != "error" || !strings.Contains(string(frames[0].Data), "message") {
				t.Errorf("frames %+v, want one error frame that says it", frames)
			}
		})
	}
}

// planned are the rules of a partition from those peers.
func planned(peers []netip.Addr, p Path) []rule {
	for _, a := range peers {
		p.Peers = append(p.Peers, a.String())
	}
	return p.rules(peers, countedDrop)
}

func TestPlanCountsThenDropsEachPeerInEachDirection(t *testing.T) {
	peers, err := parsePeers([]string{"10.0.0.2", "fd00::2", "::ffff:10.0.0.3"})
	if err != nil {
		t.Fatal(err)
	}
	type flat struct {
		Peer, Chain string
		Family      nftables.TableFamily
		Offset      uint32
	}
	look := func(rules []rule) []flat {
		var out []flat
		for _, r := range rules {
			out = append(out, flat{r.peer, r.chain, r.family, r.exprs[0].(*expr.Payload).Offset})
			n := len(r.exprs)
			if _, ok := r.exprs[n-2].(*expr.Counter); !ok {
				t.Errorf("rule for %s does not count before its verdict", r.peer)
			}
			if v, ok := r.exprs[n-1].(*expr.Verdict); !ok || v.Kind != expr.VerdictDrop {
				t.Errorf("rule for %s does not drop", r.peer)
			}
		}
		return out
	}
	v4, v6 := nftables.TableFamilyIPv4, nftables.TableFamilyIPv6
	want := []flat{
		{"10.0.0.2", In, v4, 12},
		{"10.0.0.2", Out, v4, 16},
		{"fd00::2", In, v6, 8},
		{"fd00::2", Out, v6, 24},
		{"10.0.0.3", In, v4, 12},
		{"10.0.0.3", Out, v4, 16},
	}
	if d := cmp.Diff(want, look(planned(peers, Path{}))); d != "" {
		t.Errorf("both ways (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want[1:2], look(planned(peers[:1], Path{Direction: Out}))); d != "" {
		t.Errorf("out only (-want +got):\n%s", d)
	}
	if got := len(planned(peers[:1], Path{Direction: Both, Ports: []int{6379, 26379}})); got != 8 {
		t.Errorf("two ports over two protocols both ways: %d rules, want 8", got)
	}
}

func TestStartOfReadsField22WhateverTheName(t *testing.T) {
	got, err := startOf("42 (a) b ( c)) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1000 2")
	if err != nil || got != 987654 {
		t.Errorf("start %d, error %v, want 987654", got, err)
	}
	if _, err := startOf("42 (x) S 1"); err == nil {
		t.Error("a short line gave no error")
	}
}

func TestKillBelongs(t *testing.T) {
	proc := t.TempDir()
	id := strings.Repeat("ab", 32)
	put := func(pid, cgroup string) {
		t.Helper()
		if err := os.Mkdir(proc+"/"+pid, 0o755); err != nil {
			t.Fatal(err)
		}
		stat := pid + " (redis-server) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 500 1000 2"
		for name, text := range map[string]string{"cgroup": cgroup, "stat": stat} {
			if err := os.WriteFile(proc+"/"+pid+"/"+name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("10", "4:memory:/docker/"+id+"\n1:name=systemd:/docker/"+id+"\n")
	put("11", "0::/system.slice/docker-"+id+".scope\n")
	put("12", "0::/../../user.slice\n")
	cases := []struct {
		name string
		spec KillSpec
		ok   bool
	}{
		{"cgroup v1", KillSpec{PID: 10, Container: id}, true},
		{"cgroup v2 systemd", KillSpec{PID: 11, Container: id}, true},
		{"right start", KillSpec{PID: 11, Container: id, Started: 500}, true},
		{"recycled pid", KillSpec{PID: 11, Container: id, Started: 499}, false},
		{"somebody else's process", KillSpec{PID: 12, Container: id}, false},
		{"another container", KillSpec{PID: 10, Container: strings.Repeat("cd", 32)}, false},
		{"gone", KillSpec{PID: 13, Container: id}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if err := belongs(proc, c.spec); (err == nil) != c.ok {
				t.Errorf("error %v, want ok %v", err, c.ok)
			}
		})
	}
}

func TestKillLeavesAStrangersProcessAlive(t *testing.T) {
	victim := exec.Command("sleep", "30")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = victim.Process.Kill(); _ = victim.Wait() }()
	spec, _ := json.Marshal(KillSpec{Kind: KindKill, PID: victim.Process.Pid, Container: strings.Repeat("0", 64)})
	if _, err := call(t, string(spec)); err == nil || !strings.Contains(err.Error(), "not touched") {
		t.Errorf("error %v, want a refusal", err)
	}
	if err := victim.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the process is gone: %v", err)
	}
}
