package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor time in /proc; every Linux that Go runs on has it.
const tick = 10 * time.Millisecond

// family is a process and its children, as the kernel knows them now.
type family []int

// familyOf finds a process and its children.
func familyOf(pid int) family {
	f := family{pid}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, name := range stats {
		fields := statOf(name)
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(name))) // the pattern has digits only
			f = append(f, child)
		}
	}
	return f
}

// statOf is the fields of /proc/PID/stat from the state on.
func statOf(name string) []string {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil // it has ended
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}

// cpu is the user and system time of all that live.
func (f family) cpu() time.Duration {
	var sum time.Duration
	for _, pid := range f {
		fields := statOf(fmt.Sprintf("/proc/%d/stat", pid))
		if len(fields) < 13 {
			continue
		}
		for _, field := range fields[11:13] {
			n, _ := strconv.ParseInt(field, 10, 64) // the kernel's own
			sum += time.Duration(n) * tick
		}
	}
	return sum
}

// resident is memory in bytes: of all processes together what they made (heaps, stacks, tables of the runtime), and the pages
// of programs and libraries that they have mapped, those that they share counted once.
type resident struct{ made, mapped int64 }

func (r resident) all() int64 { return r.made + r.mapped }

func (f family) memory() resident {
	var r resident
	var shared int64
	for _, pid := range f {
		m := rollup(pid)
		own := m["Private_Clean"] + m["Private_Dirty"]
		r.made += m["Anonymous"]
		r.mapped += own - m["Anonymous"]
		shared = max(shared, m["Rss"]-own)
	}
	r.mapped += shared
	return r
}

// rollup is the sums of a process's memory, bytes by name.
func rollup(pid int) map[string]int64 {
	m := map[string]int64{}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return m // it has ended
	}
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		var kib int64
		if n, _ := fmt.Sscan(rest, &kib); n == 1 {
			m[name] = kib << 10
		}
	}
	return m
}
