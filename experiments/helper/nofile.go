package helper

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// NofileSpec asks for the soft limit of open files of a container's processes to be moved: of every process whose soft
// limit is From and whose owner this process is. Look only lists them, whoever owns them.
type NofileSpec struct {
	Kind      string `json:"kind"`
	Container string `json:"container"` // full id
	From      uint64 `json:"from"`
	To        uint64 `json:"to,omitempty"`
	Main      bool   `json:"main,omitempty"` // the main process alone, and nobody may have To already
	Look      bool   `json:"look,omitempty"`
}

// Limited is the data of the "ready" frame: the processes whose limit was moved in [From, To] and read back; with Look,
// those that have it.
type Limited struct {
	From   int64     `json:"from"`
	Mono   int64     `json:"to"`
	Moved  []Process `json:"moved"`
	Before uint64    `json:"before"` // the soft limit
	After  uint64    `json:"after"`
}

// nofilePasses bounds the search for children that are born while their parents are changed.
const nofilePasses = 5

func nofile(p *drills.Pipe, s NofileSpec) error {
	if s.From == 0 || !s.Look && s.To == 0 {
		return errors.New("spec: nofile: from and to are required")
	}
	out := Limited{From: drills.Monotonic(), Before: s.From, After: s.To, Moved: []Process{}}
	if s.Main && !s.Look {
		everybody := s
		everybody.Look = true
		if taken, err := everybody.having(s.To); err != nil || len(taken) > 0 {
			return errors.Join(err, fmt.Errorf("%d processes of the target have a limit of %d already: the undo could not tell them apart", len(taken), s.To))
		}
	}
	for range nofilePasses {
		found, err := s.having(s.From)
		if err != nil {
			return err
		}
		if s.Main {
			m := mainOf(found)
			if m == nil {
				return fmt.Errorf("the main process of container %.12s is gone, or its limit is not %d any more", s.Container, s.From)
			}
			found = []Process{*m}
		}
		if s.Look {
			out.Moved = found
			break
		}
		if len(found) == 0 {
			break
		}
		if err := s.move(found); err != nil {
			return err
		}
		out.Moved = append(out.Moved, found...)
		if s.Main {
			break
		}
	}
	out.Mono = drills.Monotonic()
	return p.Send("ready", out)
}

// having lists the container's processes with that soft limit.
func (s NofileSpec) having(soft uint64) ([]Process, error) {
	all, err := processesOf(s.Container)
	if err != nil {
		return nil, err
	}
	var out []Process
	for _, x := range all {
		mine := s.Look || x.User == fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
		if have, err := softNofile(fmt.Sprintf("/proc/%d/limits", x.PID)); err == nil && have == soft && mine && !ours(x.Name) {
			out = append(out, x)
		}
	}
	return out, nil
}

// move sets the soft limits and reads them back. The hard limits stay.
func (s NofileSpec) move(all []Process) error {
	for _, x := range all {
		fd, err := hold(x, s.Container)
		if err != nil {
			continue // it ended meanwhile
		}
		err = s.set(x.PID)
		unix.Close(fd)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("limit process %d (the helper must be its owner in the host's PID namespace): %w", x.PID, err)
		}
	}
	return nil
}

func (s NofileSpec) set(pid int) error {
	var now unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &now); err != nil {
		return err
	}
	if now.Cur != s.From {
		return nil // somebody else changed it meanwhile
	}
	if s.To > now.Max {
		return fmt.Errorf("%d is above its hard limit of %d", s.To, now.Max)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: s.To, Max: now.Max}, nil); err != nil {
		return err
	}
	have, err := softNofile(fmt.Sprintf("/proc/%d/limits", pid))
	if err == nil && have != s.To {
		err = fmt.Errorf("its limit is %d after it was set to %d", have, s.To)
	}
	return err
}

// softNofile reads the soft limit of open files from /proc/PID/limits.
func softNofile(file string) (uint64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		rest, ok := strings.CutPrefix(line, "Max open files")
		if f := strings.Fields(rest); ok && len(f) > 0 {
			return strconv.ParseUint(f[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s names no limit of open files", file)
}
