package helper

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// cell is a control group of version 2 with limits and a process of somebody's in it, the target: what an engine makes of a
// container on such a host.
type cell struct {
	t      *testing.T
	dir    string
	target *exec.Cmd
}

const (
	cellMemory = 128 << 20 // bytes
	cellHeld   = 24 << 20  // of them the target's own
	cellCores  = 0.5
)

// newCell skips where the host has no control groups of version 2, or fails where SIMULACRO_REQUIRE_CGROUP_V2 says that it
// must: `make test-netem` boots such a kernel.
func newCell(t *testing.T) *cell {
	t.Helper()
	if testing.Short() {
		t.Skip("makes control groups: not with -short")
	}
	c := &cell{t: t, dir: fmt.Sprintf("/sys/fs/cgroup/simulacro-test-%d", os.Getpid())}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil || os.Getuid() != 0 {
		why := fmt.Sprintf("no control groups of version 2 to make any in: %v, user %d", err, os.Getuid())
		if os.Getenv("SIMULACRO_REQUIRE_CGROUP_V2") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	c.write("/sys/fs/cgroup/cgroup.subtree_control", "+cpu +memory")
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(c.dir); err != nil {
			t.Errorf("left behind: %v", err)
		}
	})
	c.write(c.dir+"/memory.max", strconv.Itoa(cellMemory))
	c.write(c.dir+"/cpu.max", "50000 100000")
	c.target = c.inside("SIMULACRO_TEST_HOLDS=" + strconv.Itoa(cellHeld))
	out, err := c.target.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.begin(c.target)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the target: %v", err)
	}
	return c
}

// holdsMemory is the target: it holds that many bytes until it is killed.
func holdsMemory(text string) {
	n, err := strconv.Atoi(text)
	if err != nil {
		os.Exit(1)
	}
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		os.Exit(1)
	}
	for i := 0; i < n; i += os.Getpagesize() {
		b[i] = 1
	}
	fmt.Println("holding")
	_ = unix.Pause()
}

// enterCell gives this process the view of its control group that a container has, and becomes the helper.
func enterCell() error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Unmount("/sys/fs/cgroup", unix.MNT_DETACH); err != nil {
		return err
	}
	if err := unix.Mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, ""); err != nil {
		return err
	}
	if err := os.Unsetenv("SIMULACRO_TEST_CELL"); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args[:1], append(os.Environ(), "SIMULACRO_TEST_HELPER=1"))
}

// inside is this binary as another process, to be born in the control group.
func (c *cell) inside(env string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), env), os.Stderr
	return cmd
}

func (c *cell) begin(cmd *exec.Cmd) {
	c.t.Helper()
	fd, err := unix.Open(c.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// strain starts a helper in the control group.
func (c *cell) strain(s StrainSpec) *process {
	c.t.Helper()
	s.Kind, s.Op, s.Lease = KindStrain, "cell", drills.Duration(time.Minute)
	cmd := c.inside("SIMULACRO_TEST_CELL=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	c.begin(cmd)
	p := &process{t: c.t, cmd: cmd, in: in, out: bufio.NewReader(out)}
	b, err := json.Marshal(s)
	if err != nil {
		c.t.Fatal(err)
	}
	p.send(drills.Frame{Type: "spec", Data: b})
	return p
}

// reached waits for a beat that says so.
func (c *cell) reached(p *process) (r Reading) {
	c.t.Helper()
	for end := time.Now().Add(30 * time.Second); !r.Reached; {
		if p.next("beat", &r); time.Now().After(end) {
			c.t.Fatalf("never reached: %+v", r)
		}
	}
	return r
}

func (c *cell) write(path, text string) {
	c.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0); err != nil {
		c.t.Fatal(err)
	}
}

// number is a value as the host sees it: of the whole file, or of one of its lines.
func (c *cell) number(file, key string) int64 {
	c.t.Helper()
	b, err := os.ReadFile(filepath.Join(c.dir, file))
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			if err != nil {
				c.t.Fatal(err)
			}
			return n
		}
	}
	c.t.Fatalf("%s has no %s", file, key)
	return 0
}

// share is the used part of the memory limit.
func (c *cell) share() float64 { return float64(c.number("memory.current", "")) / cellMemory }

func TestControlGroupV2Memory(t *testing.T) {
	for _, end := range []string{"stop", "kill"} {
		t.Run(end, func(t *testing.T) {
			c := newCell(t)
			p := c.strain(StrainSpec{Memory: &Memory{Share: 0.8}})
			var a Pressed
			p.next("ready", &a)
			if a.Way != WayExec || a.Before.Limit != cellMemory || a.Before.Memory < cellHeld {
				t.Errorf("before: %+v", a)
			}
			r := c.reached(p)
			t.Logf("%+v; the host sees %.2f of the limit", r, c.share())
			within(t, "share", c.share(), 0.7, 0.9)
			within(t, "held by us", float64(r.Held), 0.3*cellMemory, 0.8*cellMemory-cellHeld)
			if end == "stop" {
				p.send(drills.Frame{Type: "stop"})
				p.next("done", &Eased{})
			} else if err := p.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = p.cmd.Wait()
			within(t, "share afterwards", c.share(), float64(cellHeld)/cellMemory, 0.4)
			if n := c.number("memory.events", "oom_kill "); n != 0 {
				t.Errorf("the kernel ended %d processes", n)
			}
		})
	}
}

func TestControlGroupV2CPU(t *testing.T) {
	c := newCell(t)
	p := c.strain(StrainSpec{CPU: &CPU{Workers: 1, Load: 0.8, Cores: cellCores}})
	p.next("ready", &Pressed{})
	r := c.reached(p)
	from, used := time.Now(), c.number("cpu.stat", "usage_usec ")
	for time.Since(from) < 3*time.Second {
		p.next("beat", &r)
	}
	cores := float64(c.number("cpu.stat", "usage_usec ")-used) / float64(time.Since(from).Microseconds())
	t.Logf("%+v; the host sees %.2f CPUs", r, cores)
	within(t, "CPUs in use", cores, 0.4*cellCores, 1.1*cellCores)
	within(t, "as told", r.Cores, cores-0.15, cores+0.15)
	p.send(drills.Frame{Type: "stop"})
	p.next("done", &Eased{})
	_ = p.cmd.Wait()
	from, used = time.Now(), c.number("cpu.stat", "usage_usec ")
	time.Sleep(500 * time.Millisecond)
	within(t, "CPUs afterwards", float64(c.number("cpu.stat", "usage_usec ")-used)/float64(time.Since(from).Microseconds()), 0, 0.05)
}

// TestControlGroupV2OutOfMemory: memory that belongs to no process is taken until the kernel ends the largest one of the
// group, which is the target.
func TestControlGroupV2OutOfMemory(t *testing.T) {
	c := newCell(t)
	p := c.strain(StrainSpec{Memory: &Memory{Beyond: true}})
	p.next("ready", &Pressed{})
	ended := make(chan error, 1)
	go func() { ended <- c.target.Wait() }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatalf("the target lives; %.2f of the limit", c.share())
	}
	if s, ok := c.target.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
		t.Errorf("the target ended by %v", c.target.ProcessState)
	}
	if n := c.number("memory.events", "oom_kill "); n == 0 {
		t.Error("the kernel has counted no kill")
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	within(t, "share afterwards", c.share(), 0, 0.2)
}
