package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// host is what the figures were reached on.
type host struct {
	cpu, kernel, goVersion, load string
	cores                        int
	memory                       uint64 // GiB
	files                        uint64 // that a process may open
}

func machine() host {
	h := host{cpu: "unknown CPU", goVersion: runtime.Version(), cores: runtime.NumCPU(), load: load1()}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				h.cpu = strings.TrimSpace(v)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		h.kernel = strings.TrimSpace(string(b))
	}
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) == nil {
		h.memory = (uint64(info.Totalram)*uint64(info.Unit) + 1<<29) >> 30
	}
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) == nil {
		h.files = r.Max
	}
	return h
}

func (h host) line() string {
	return fmt.Sprintf("%s, %d cores, %d GiB, Linux %s, %s, at most %d open files per process, load average before %s",
		h.cpu, h.cores, h.memory, h.kernel, h.goVersion, h.files, h.load)
}

// load1 is the load average of the last minute.
func load1() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(b), " ")
	return one
}
