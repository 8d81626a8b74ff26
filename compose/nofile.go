package compose

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/docker/docker/api/types/container"
)

// nrOpen is the kernel's ceiling for a process's open files.
const nrOpen = "/proc/sys/fs/nr_open"

// ulimits sets the open-files limit to the highest that the engine is known to give; nil when it gives none.
func (e *Engine) ulimits(in []*container.Ulimit) []*container.Ulimit {
	limit := e.nofileLimit()
	if limit <= 0 {
		return nil
	}
	for _, u := range in {
		u.Soft, u.Hard = limit, limit
	}
	return in
}

// nofileLimit is the limit to try: the kernel's ceiling at first.
func (e *Engine) nofileLimit() int64 {
	e.nofile.mu.Lock()
	defer e.nofile.mu.Unlock()
	if !e.nofile.tried {
		e.nofile.tried, e.nofile.limit = true, min(kernelNofile(), 1<<20)
	}
	return e.nofile.limit
}

// lowerNofile takes the next lower limit after the engine refused one: this process's own, then none. False when there
// is nothing left to lower.
func (e *Engine) lowerNofile() bool {
	e.nofile.mu.Lock()
	defer e.nofile.mu.Unlock()
	own := ownNofile()
	switch {
	case e.nofile.limit <= 0:
		return false
	case own < e.nofile.limit:
		e.nofile.limit = own
	default:
		e.nofile.limit = 0
	}
	return true
}

func kernelNofile() int64 {
	b, err := os.ReadFile(nrOpen)
	if err != nil {
		return ownNofile()
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return ownNofile()
	}
	return n
}

// ownNofile is this process's hard limit.
func ownNofile() int64 {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	return int64(min(r.Max, 1<<20))
}

// isUlimitError recognises the refusal to raise a limit.
func isUlimitError(err error) bool {
	return strings.Contains(err.Error(), "rlimit")
}
