package compose

import (
	"bytes"
	"os"
	"path"
	"strconv"
	"strings"
)

// What the kernel of this host says of a container's main process and group, as names in Member.Limits.
const (
	factNofile    = "nofile-soft" // soft limit of open files of the main process
	factOpenFiles = "open-files"  // files that the main process has open
	factProcesses = "processes"   // processes and threads in the control group
)

// addKernelFacts adds what this host's kernel lets us see of a running container. What it does not is left out: this process
// may be in a container itself, without a sight of the host's processes.
func addKernelFacts(limits map[string]int64, id string, pid int) {
	if pid <= 0 {
		return
	}
	dir := "/proc/" + strconv.Itoa(pid)
	groups, err := os.ReadFile(dir + "/cgroup")
	if err != nil || !bytes.Contains(groups, []byte(id)) {
		return // not the process that the engine means
	}
	if b, err := os.ReadFile(dir + "/limits"); err == nil {
		setLimit(limits, factNofile, softNofile(string(b)))
	}
	setLimit(limits, factOpenFiles, openFiles(dir+"/fd"))
	setLimit(limits, factProcesses, processCount(string(groups)))
}

// softNofile reads the soft limit of open files from /proc/PID/limits; 0 when it is not there or unlimited.
func softNofile(text string) int64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				n, _ := strconv.ParseInt(f[0], 10, 64) // "unlimited" is 0
				return n
			}
		}
	}
	return 0
}

// openFiles counts a process's open files. Since Linux 6.2 the directory's size says it to anybody; before, only an owner
// may look inside.
func openFiles(dir string) int64 {
	if st, err := os.Stat(dir); err == nil && st.Size() > 0 {
		return st.Size()
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	return int64(len(entries))
}

// processCount reads how many processes and threads a control group has.
func processCount(groups string) int64 {
	for line := range strings.Lines(groups) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		dir := ""
		switch {
		case part[1] == "pids":
			dir = "/sys/fs/cgroup/pids"
		case part[0] == "0" && part[1] == "":
			dir = "/sys/fs/cgroup"
		default:
			continue
		}
		b, err := os.ReadFile(path.Join(dir, part[2], "pids.current"))
		if err != nil {
			continue
		}
		n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		return n
	}
	return 0
}
