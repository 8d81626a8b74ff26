package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// helper kills like the real one: only a process whose cgroup names the container.
func helper(in io.Reader, out io.Writer) error {
	p := drills.NewPipe(in, out)
	var spec struct {
		Kind      string `json:"kind"`
		PID       int    `json:"pid"`
		Container string `json:"container"`
		Signal    int    `json:"signal"`
	}
	if err := p.Spec(&spec); err != nil {
		return err
	}
	cg, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", spec.PID))
	if err == nil && !strings.Contains(string(cg), spec.Container) {
		err = fmt.Errorf("process %d is not of container %s", spec.PID, spec.Container)
	}
	if err == nil {
		err = syscall.Kill(spec.PID, syscall.Signal(spec.Signal))
	}
	if err != nil {
		return p.Send("error", map[string]string{"text": err.Error()})
	}
	return p.Send("ready", map[string]bool{"killed": true})
}

// fifo asks for SCHED_FIFO for this thread and gives it back; it returns the error.
func fifo() string {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, try := range []struct{ policy, prio int32 }{{unix.SCHED_FIFO, 1}, {unix.SCHED_NORMAL, 0}} {
		if _, _, e := unix.RawSyscall(unix.SYS_SCHED_SETSCHEDULER, 0, uintptr(try.policy), uintptr(unsafe.Pointer(&try.prio))); e != 0 {
			return e.Error()
		}
	}
	return ""
}
