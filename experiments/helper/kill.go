package helper

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// exitWithin bounds the wait for the process to be gone after a fatal signal.
const exitWithin = 2 * time.Second

// KillSpec asks for a signal to one process, which must belong to that container.
type KillSpec struct {
	Kind      string `json:"kind"`
	PID       int    `json:"pid"`              // in the PID namespace that the helper sees: the host's
	Container string `json:"container"`        // full id, as found in /proc/PID/cgroup
	Signal    Signal `json:"signal,omitempty"` // default SIGKILL
	Started   uint64 `json:"started,omitempty"`
}

// Signal reads a number or a name, with or without SIG.
type Signal unix.Signal

// UnmarshalJSON reads 9, "SIGKILL" or "KILL".
func (s *Signal) UnmarshalJSON(b []byte) error {
	var n int
	if json.Unmarshal(b, &n) == nil && unix.SignalName(unix.Signal(n)) != "" {
		*s = Signal(n)
		return nil
	}
	var name string
	if json.Unmarshal(b, &name) == nil {
		if sig := unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG")); sig != 0 {
			*s = Signal(sig)
			return nil
		}
	}
	return fmt.Errorf("signal %s is neither a number nor a name such as SIGKILL", b)
}

// Killed is the data of the "ready" frame of a kill: the signal was sent in [From, Mono] (CLOCK_MONOTONIC, ns). Exited tells
// whether the process was seen to be gone, at Gone.
type Killed struct {
	Killed bool  `json:"killed"`
	From   int64 `json:"from"`
	Mono   int64 `json:"mono"`
	Exited bool  `json:"exited"`
	Gone   int64 `json:"gone,omitempty"`
}

// kill holds the process by a descriptor before it looks, so that a recycled PID can never be hit.
func kill(p *drills.Pipe, s KillSpec) error {
	sig, err := s.validate()
	if err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(s.PID, 0)
	if err != nil {
		return fmt.Errorf("hold process %d: %w", s.PID, err)
	}
	defer unix.Close(fd)
	if err := belongs("/proc", s); err != nil {
		return err
	}
	k := Killed{From: drills.Monotonic()}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
		return fmt.Errorf("signal process %d (the helper needs KILL in the host's PID namespace): %w", s.PID, err)
	}
	k.Killed, k.Mono = true, drills.Monotonic()
	if sig == unix.SIGKILL && exited(fd) {
		k.Exited, k.Gone = true, drills.Monotonic()
	}
	return p.Send("ready", k)
}

func (s KillSpec) validate() (unix.Signal, error) {
	if s.PID <= 1 {
		return 0, fmt.Errorf("spec: pid %d is not the process of a container", s.PID)
	}
	if !fullID(s.Container) {
		return 0, fmt.Errorf("spec: container %q is not a full container id", s.Container)
	}
	if s.Signal == 0 {
		return unix.SIGKILL, nil
	}
	return unix.Signal(s.Signal), nil
}

// belongs checks that the process is in the container's control group and is the one that was meant. Both cgroup
// versions and both drivers put the full id into the path.
func belongs(proc string, s KillSpec) error {
	dir := fmt.Sprintf("%s/%d", proc, s.PID)
	groups, err := os.ReadFile(dir + "/cgroup")
	if err != nil {
		return fmt.Errorf("read the control group of process %d: %w", s.PID, err)
	}
	if !strings.Contains(string(groups), s.Container) {
		return fmt.Errorf("process %d does not belong to container %.12s: it was not touched", s.PID, s.Container)
	}
	if s.Started == 0 {
		return nil
	}
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return fmt.Errorf("read the start of process %d: %w", s.PID, err)
	}
	started, err := startOf(string(stat))
	if err != nil {
		return err
	}
	if started != s.Started {
		return fmt.Errorf("process %d started at tick %d, not %d: it is another process and was not touched", s.PID, started, s.Started)
	}
	return nil
}

// startOf is field 22 of /proc/PID/stat, clock ticks since boot. The name in field 2 may hold spaces and brackets.
func startOf(stat string) (uint64, error) {
	rest := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(rest) < 20 {
		return 0, errors.New("/proc/PID/stat is not in a known format")
	}
	return strconv.ParseUint(rest[19], 10, 64)
}

// exited waits until the process behind the descriptor has ended.
func exited(fd int) bool {
	deadline := time.Now().Add(exitWithin)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return err == nil && n == 1
	}
}
