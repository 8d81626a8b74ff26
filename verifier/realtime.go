package verifier

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// realtimePriority is low among the real-time priorities: above everything that is not, below the kernel's own threads.
const realtimePriority = 10

// realtimeAtMost is how long a thread may run under SCHED_FIFO without waiting for anything: RLIMIT_RTTIME, in microseconds.
// Probers wait nearly always. One that spins would starve the host that it measures; the kernel ends it, and the run is
// invalid, which is better.
const realtimeAtMost = 2_000_000

type ownProcess struct{}

// OwnProcess tells an agent that it has the process for itself, so that it may change how the process is scheduled. Without
// it (an agent that runs inside another program, such as a test) real-time scheduling is not asked for.
func OwnProcess(ctx context.Context) context.Context {
	return context.WithValue(ctx, ownProcess{}, true)
}

// realtime is goRealtime where it is wanted and the process is the agent's own; why says what was in the way.
func realtime(ctx context.Context, wanted bool) (r readiness) {
	if !wanted {
		return r
	}
	if ctx.Value(ownProcess{}) == nil {
		r.Why = "SCHED_FIFO: the agent shares its process"
		return r
	}
	if err := goRealtime(); err != nil {
		r.Why = err.Error()
		return r
	}
	r.Realtime = true
	return r
}

// Realtime puts this process under SCHED_FIFO if it is an agent's own (see OwnProcess). The error says what was in the way.
func Realtime(ctx context.Context) error {
	if r := realtime(ctx, true); !r.Realtime {
		return errors.New(r.Why)
	}
	return nil
}

// goRealtime puts every thread of this process under SCHED_FIFO; threads made later inherit it from their maker. On a
// busy machine it shortens a prober's lateness at p99 from tens of milliseconds to about one (MEASUREMENT section 5).
// The error says why it was not granted.
func goRealtime() error {
	most := unix.Rlimit{Cur: realtimeAtMost, Max: realtimeAtMost}
	if err := unix.Setrlimit(unix.RLIMIT_RTTIME, &most); err != nil {
		return fmt.Errorf("RLIMIT_RTTIME: %w", err)
	}
	seen := map[string]bool{}
	for { // again until no thread is new: one may be born by a thread that was not yet raised
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("list own threads: %w", err)
		}
		before := len(seen)
		for _, t := range tasks {
			if seen[t.Name()] {
				continue
			}
			seen[t.Name()] = true
			if err := raise(t.Name()); err != nil {
				return err
			}
		}
		if len(seen) == before {
			return nil
		}
	}
}

func raise(thread string) error {
	tid, err := strconv.Atoi(thread)
	if err != nil {
		return nil //nolint:nilerr // not a thread
	}
	attr := unix.SchedAttr{Size: uint32(unsafe.Sizeof(unix.SchedAttr{})), Policy: unix.SCHED_FIFO, Priority: realtimePriority}
	if err := unix.SchedSetAttr(tid, &attr, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("SCHED_FIFO: %w", err)
	}
	return nil
}
