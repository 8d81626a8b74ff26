package compose

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// about is what the echo agent says of itself (internal/testagent).
type about struct {
	UID    int    `json:"uid"`
	CapEff string `json:"cap_eff"`
	NoNew  string `json:"no_new_privs"`
	Nofile int64  `json:"nofile"`
	Write  string `json:"write"`
	PID    int    `json:"pid"`
	PGID   int    `json:"pgid"`
	FIFO   string `json:"fifo"`
	Addrs  string `json:"addrs"`
	Lookup string `json:"lookup"`
}

// echoAgent starts the echo agent in a place and returns what it says of itself.
func (l *lab) echoAgent(p drills.Place, spec string) (drills.Stream, about) {
	l.t.Helper()
	s, err := l.e.Launcher(RunLabels{Run: "r1"}).Start(l.ctx(), p, []string{"_agent", "echo"})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := s.Send(drills.Frame{Type: "spec", Data: json.RawMessage(spec)}); err != nil {
		l.t.Fatal(err)
	}
	f, err := s.Recv()
	var a about
	if err == nil {
		err = json.Unmarshal(f.Data, &a)
	}
	if err != nil || f.Type != "ready" {
		l.t.Fatalf("%s %s: %v", f.Type, f.Data, err)
	}
	if p.Kind != drills.PlaceHost { // a host has too many addresses to show
		l.t.Logf("%s: %+v", p.Kind, a)
	}
	return s, a
}

func (l *lab) close(s drills.Stream) {
	l.t.Helper()
	if err := s.Close(l.ctx()); err != nil {
		l.t.Error(err)
	}
	if !l.runGone("r1") {
		l.t.Error("container is still there after Close")
	}
}

// The bits of Linux capabilities, as in /proc/self/status.
const (
	noCaps  = "0000000000000000"
	capKill = "0000000000000020"
	capNet  = "0000000000001000"
	capNice = "0000000000800000"
)

func TestVantage(t *testing.T) {
	l := newLab(t)
	l.member("web", 1, []string{"sleep"})
	s, a := l.echoAgent(drills.Place{Kind: drills.PlaceNetwork, Network: "net", Name: "probe"}, `{"lookup":"web","stderr":"hello log","write":"/probe"}`)
	if a.UID != 65534 || a.CapEff != noCaps || a.NoNew != "1" || a.Write == "" {
		t.Errorf("not unprivileged: %+v", a)
	}
	if a.Nofile < ownNofile() {
		t.Errorf("open files %d, want at least our own %d", a.Nofile, ownNofile())
	}
	if !strings.Contains(a.Lookup, "<nil>") {
		t.Errorf("Docker's DNS does not know a service: %s", a.Lookup)
	}
	if err := s.Send(drills.Frame{Type: "hi", Data: json.RawMessage(`1`)}); err != nil {
		t.Fatal(err)
	}
	if f, err := s.Recv(); err != nil || f.Type != "echo" || !strings.Contains(string(f.Data), `"hi"`) {
		t.Errorf("echo: %v %v", f, err)
	}
	l.close(s)
	if f, err := s.Recv(); err != nil || f.Type != "bye" || string(f.Data) != `"eof"` {
		t.Errorf("last frame: %s %s %v", f.Type, f.Data, err)
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last frame: %v, want EOF", err)
	}
	if l.logs.FilterMessage("hello log").Len() != 1 {
		t.Errorf("stderr is not in the log: %v", l.logs.All())
	}
}

func TestRealtimeVantage(t *testing.T) {
	l := newLab(t)
	s, a := l.echoAgent(drills.Place{Kind: drills.PlaceNetwork, Network: "net", Realtime: true}, `{}`)
	if a.CapEff != capNice {
		t.Errorf("capabilities %s, want SYS_NICE alone", a.CapEff)
	}
	if a.FIFO != "" {
		t.Logf("this kernel does not give SCHED_FIFO to containers: %s", a.FIFO)
	}
	l.close(s)
}

func TestTargetHelper(t *testing.T) {
	l := newLab(t)
	id := l.member("db", 1, []string{"sleep"})
	c, err := l.e.api.ContainerInspect(l.ctx(), id)
	if err != nil {
		t.Fatal(err)
	}
	ip := c.NetworkSettings.Networks[l.project+"_net"].IPAddress
	s, a := l.echoAgent(drills.Place{Kind: drills.PlaceTarget, Target: id}, `{}`)
	if a.CapEff != capNet || !strings.Contains(a.Addrs, ip) {
		t.Errorf("capabilities %s, addresses %s; want NET_ADMIN alone and %s", a.CapEff, a.Addrs, ip)
	}
	l.close(s)
	if err := l.e.api.ContainerKill(l.ctx(), id, "KILL"); err != nil {
		t.Fatal(err)
	}
	l.eventually("killed", 10*time.Second, func() bool { return !l.state(id).Running })
	_, err = l.e.Launcher(RunLabels{Run: "r1"}).Start(l.ctx(), drills.Place{Kind: drills.PlaceTarget, Target: id}, []string{"_agent", "echo"})
	if drills.CodeOf(err) != drills.Blocked || !l.runGone("r1") {
		t.Errorf("helper in a dead target: %v", err)
	}
}

func TestHostPIDHelper(t *testing.T) {
	l := newLab(t)
	s, a := l.echoAgent(drills.Place{Kind: drills.PlaceHostPID}, `{}`)
	if a.CapEff != capKill || a.PID == 1 {
		t.Errorf("capabilities %s, pid %d; want KILL alone in the host's PID namespace", a.CapEff, a.PID)
	}
	l.close(s)
}

func TestHostProcess(t *testing.T) {
	l := newLab(t)
	s, a := l.echoAgent(drills.Place{Kind: drills.PlaceHost}, `{"lease":"3s","stderr":"hello host"}`)
	if a.PGID != a.PID || a.PGID == syscall.Getpgrp() {
		t.Errorf("process group %d of process %d", a.PGID, a.PID)
	}
	<-time.After(4 * time.Second) // longer than the lease: the stream must have renewed it
	l.close(s)
	if f, err := s.Recv(); err != nil || string(f.Data) != `"eof"` {
		t.Errorf("last frame: %s %s %v", f.Type, f.Data, err)
	}
	if _, err := os.Stat("/proc/" + itoa(a.PID)); err == nil {
		t.Error("process is still there")
	}
	if l.logs.FilterMessage("hello host").Len() != 1 {
		t.Error("stderr is not in the log")
	}
}

func TestCloseIsBounded(t *testing.T) {
	l := newLab(t)
	for _, p := range []drills.Place{{Kind: drills.PlaceHost}, {Kind: drills.PlaceNetwork, Network: "net"}} {
		s, a := l.echoAgent(p, `{"hang":true}`)
		ctx, cancel := context.WithTimeout(l.ctx(), 500*time.Millisecond)
		begin := time.Now()
		err := s.Close(ctx)
		cancel()
		if err == nil || time.Since(begin) > 20*time.Second {
			t.Errorf("%s: close of a process that hangs: %v after %v", p.Kind, err, time.Since(begin))
		}
		if !l.runGone("r1") {
			t.Errorf("%s: container stays", p.Kind)
		}
		if p.Kind == drills.PlaceHost {
			if _, err := os.Stat("/proc/" + itoa(a.PID)); err == nil {
				t.Error("process stays")
			}
		}
	}
}

func TestImageIsLoadedOnceAndAgain(t *testing.T) {
	l := newLab(t)
	ref, err := l.e.ensureImage(l.ctx())
	if err != nil {
		t.Fatal(err)
	}
	first, err := l.e.api.ImageInspect(l.ctx(), ref)
	if err != nil || first.Config.Labels[labelAgent] != l.e.image.sum.binary {
		t.Fatalf("image %v, %v", first.Config, err)
	}
	other, err := Open(l.ctx(), Options{Project: l.project, Binary: l.binary})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if again, err := other.ensureImage(l.ctx()); again != ref || err != nil {
		t.Errorf("second engine: %s %v", again, err)
	}
	s, _ := l.echoAgent(drills.Place{Kind: drills.PlaceNetwork, Network: "net"}, `{}`)
	defer l.close(s)
	c, err := l.e.api.ContainerInspect(l.ctx(), s.(*stream).containerID())
	if err != nil || c.Image != first.ID {
		t.Errorf("container's image %v, %v", c, err)
	}
	if !c.HostConfig.ReadonlyRootfs || c.HostConfig.LogConfig.Type != "none" {
		t.Errorf("root read-only: %v, log %v", c.HostConfig.ReadonlyRootfs, c.HostConfig.LogConfig)
	}
}
