package helper

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// Process is one process of a container, seen from the host's PID namespace.
type Process struct {
	PID     int    `json:"pid"`
	Inner   int    `json:"inner"` // its number inside the container; the main process has 1
	Name    string `json:"name"`  // the kernel's, 15 bytes
	Command string `json:"command,omitempty"`
	Started uint64 `json:"started"` // clock ticks since boot
	User    string `json:"user"`    // uid:gid
}

// ProcessesSpec asks which processes of a container have a name. Our own in it are listed too.
type ProcessesSpec struct {
	Kind      string `json:"kind"`
	Container string `json:"container"`      // full id
	Name      string `json:"name,omitempty"` // exactly; empty: all
}

// Processes is the data of the "ready" frame of a listing.
type Processes struct {
	Found []Process `json:"found"`
	Mono  int64     `json:"mono"` // after reading
}

// SignalSpec asks for a signal to every process of a container that matches.
type SignalSpec struct {
	Kind      string `json:"kind"`
	Container string `json:"container"` // full id
	Process   string `json:"process"`   // a glob over the name, the program's file name, or the whole command line
	Signal    Signal `json:"signal,omitempty"`
}

// Signalled is the data of the "ready" frame of a signal: sent in [From, Mono]; Gone are those seen to have ended, by To.
type Signalled struct {
	From int64     `json:"from"`
	Mono int64     `json:"mono"`
	To   int64     `json:"to"`
	Hit  []Process `json:"hit"`
	Gone []int     `json:"gone"`
}

func processes(p *drills.Pipe, s ProcessesSpec) error {
	all, err := processesOf(s.Container)
	if err != nil {
		return err
	}
	found := slices.DeleteFunc(all, func(x Process) bool { return s.Name != "" && x.Name != s.Name })
	return p.Send("ready", Processes{Found: found, Mono: drills.Monotonic()})
}

// signal holds every process by a descriptor before it looks again, so that a recycled PID can never be hit.
func signal(p *drills.Pipe, s SignalSpec) error {
	sig := unix.SIGKILL
	if s.Signal != 0 {
		sig = unix.Signal(s.Signal)
	}
	if s.Process == "" {
		return errors.New("spec: process is empty: it would mean all of them")
	}
	all, err := processesOf(s.Container)
	if err != nil {
		return err
	}
	out := Signalled{From: drills.Monotonic(), Gone: []int{}}
	var held []int
	defer func() {
		for _, fd := range held {
			unix.Close(fd)
		}
	}()
	for _, x := range all {
		if ours(x.Name) || !x.matches(s.Process) {
			continue
		}
		fd, err := hold(x, s.Container)
		if err != nil {
			continue // it ended meanwhile
		}
		held = append(held, fd)
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
			return fmt.Errorf("signal process %d: %w", x.PID, err)
		}
		out.Hit = append(out.Hit, x)
	}
	out.Mono = drills.Monotonic()
	if len(out.Hit) == 0 {
		return fmt.Errorf("no process of container %.12s matches %q; it has %s", s.Container, s.Process, names(all))
	}
	for i, fd := range held {
		if exited(fd) {
			out.Gone = append(out.Gone, out.Hit[i].PID)
		}
	}
	out.To = drills.Monotonic()
	return p.Send("ready", out)
}

// hold opens a descriptor of a process and checks that it is still the one that was meant.
func hold(x Process, container string) (int, error) {
	fd, err := unix.PidfdOpen(x.PID, 0)
	if err != nil {
		return -1, err
	}
	if err := belongs("/proc", KillSpec{PID: x.PID, Container: container, Started: x.Started}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// processesOf lists the processes in a container's control group and below it, by PID.
func processesOf(container string) ([]Process, error) {
	if !fullID(container) {
		return nil, fmt.Errorf("spec: container %q is not a full container id", container)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var out []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		dir := "/proc/" + e.Name()
		groups, err := os.ReadFile(dir + "/cgroup")
		if err != nil || !bytes.Contains(groups, []byte(container)) {
			continue
		}
		if x, err := readProcess(dir, pid); err == nil {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b Process) int { return a.PID - b.PID })
	return out, nil
}

// readProcess fails when the process has ended; one that waits to be reaped has.
func readProcess(dir string, pid int) (Process, error) {
	x := Process{PID: pid}
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return x, err
	}
	text := string(stat)
	begin, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if begin < 0 || end < begin || strings.HasPrefix(strings.TrimSpace(text[end+1:]), "Z") {
		return x, fmt.Errorf("process %d is not alive", pid)
	}
	x.Name = text[begin+1 : end]
	if x.Started, err = startOf(text); err != nil {
		return x, err
	}
	if line, err := os.ReadFile(dir + "/cmdline"); err == nil {
		x.Command = strings.TrimSpace(string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return x, err
	}
	for line := range strings.Lines(string(status)) {
		key, rest, _ := strings.Cut(line, ":")
		f := strings.Fields(rest)
		switch {
		case len(f) == 0:
		case key == "NSpid":
			x.Inner, _ = strconv.Atoi(f[len(f)-1])
		case key == "Uid":
			x.User = f[0]
		case key == "Gid":
			x.User += ":" + f[0]
		}
	}
	return x, nil
}

// matches compares the glob with the name, the program's file name and the whole command line; * passes slashes.
func (x Process) matches(glob string) bool {
	program, _, _ := strings.Cut(x.Command, " ")
	flat := func(s string) string { return strings.ReplaceAll(s, "/", "\x01") }
	for _, s := range []string{x.Name, path.Base(program), x.Command} {
		if ok, _ := path.Match(flat(glob), flat(s)); ok {
			return true
		}
	}
	return false
}

// ours tells whether a name is that of a strain of ours.
func ours(name string) bool { return regexp.MustCompile(`^sim[0-9a-f]{12}$`).MatchString(name) }

func fullID(container string) bool {
	return regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(container)
}

func names(all []Process) string {
	var out []string
	for _, x := range all {
		out = append(out, x.Name)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}
