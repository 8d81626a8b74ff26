package helper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// group is a container's control group, read through its own view of it.
type group struct {
	dir string
	v2  bool
}

// unlimited is what version 1 says of a group without a memory limit, or more.
const unlimited = int64(1) << 60

// openGroup finds the control group files below the root of a container's file system.
func openGroup(root string) (group, error) {
	dir := filepath.Join(root, "/sys/fs/cgroup")
	if _, err := os.Stat(filepath.Join(dir, "cgroup.controllers")); err == nil {
		return group{dir: dir, v2: true}, nil
	}
	if _, err := os.Stat(filepath.Join(dir, "memory/memory.limit_in_bytes")); err != nil {
		return group{}, fmt.Errorf("the target's control group cannot be read: %w", err)
	}
	return group{dir: dir}, nil
}

// memory is the working set (what the kernel cannot drop at once) and the limit, in bytes; a limit of 0 is none.
func (g group) memory() (set, limit int64, err error) {
	usage, limitFile, stat, idle := "memory/memory.usage_in_bytes", "memory/memory.limit_in_bytes", "memory/memory.stat", "total_inactive_file"
	if g.v2 {
		usage, limitFile, stat, idle = "memory.current", "memory.max", "memory.stat", "inactive_file"
	}
	used, err := g.number(usage)
	if err != nil {
		return 0, 0, err
	}
	if limit, err = g.number(limitFile); err != nil {
		return 0, 0, err
	}
	if limit >= unlimited {
		limit = 0
	}
	inactive, err := g.field(stat, idle)
	return max(0, used-inactive), limit, err
}

// cpu is the CPU time that the group has used and for how long its limit has held it up, since it began.
func (g group) cpu() (used, throttled time.Duration, err error) {
	if g.v2 {
		u, err := g.field("cpu.stat", "usage_usec")
		if err != nil {
			return 0, 0, err
		}
		t, _ := g.field("cpu.stat", "throttled_usec") // not there without a limit
		return time.Duration(u) * time.Microsecond, time.Duration(t) * time.Microsecond, nil
	}
	u, err := g.number("cpuacct/cpuacct.usage")
	if err != nil {
		return 0, 0, err
	}
	t, _ := g.field("cpu/cpu.stat", "throttled_time")
	return time.Duration(u), time.Duration(t), nil
}

// number reads a file with one number; "max" is more than any.
func (g group) number(name string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(b))
	if text == "max" {
		return unlimited, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return int64(min(n, uint64(unlimited))), err
}

// field reads one line "name number" of a file.
func (g group) field(name, key string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key+" "); ok {
			return strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", name, key)
}

// insideTarget checks that this process is in the control group of the first process of its PID namespace, the target's
// main one, or in a child of it: anywhere else its pressure would be on somebody else.
func insideTarget(proc string) error {
	mine, err := os.ReadFile(proc + "/self/cgroup")
	if err != nil {
		return err
	}
	theirs, err := os.ReadFile(proc + "/1/cgroup")
	if err != nil {
		return fmt.Errorf("read the target's control group: %w", err)
	}
	return nested(groupPaths(string(theirs)), groupPaths(string(mine)))
}

// nested compares the groups that limit memory and CPU time; the one of version 2 is named "".
func nested(outer, inner map[string]string) error {
	checked := false
	for _, controller := range []string{"memory", "cpu", ""} {
		want, ok := outer[controller]
		if !ok || controller == "" && checked {
			continue
		}
		checked = true
		if got := inner[controller]; want == "/" || got != want && !strings.HasPrefix(got, want+"/") {
			return fmt.Errorf("we are in control group %q and the target is in %q: nothing was done", got, want)
		}
	}
	if !checked {
		return errors.New("/proc/1/cgroup is not in a known format")
	}
	return nil
}

// groupPaths reads /proc/PID/cgroup.
func groupPaths(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(part[1], ",") {
			out[controller] = part[2]
		}
	}
	return out
}
