package compose

import (
	"fmt"
	"os"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// openFiles is how many descriptors the member's main process may have: as it is declared, else as the kernel says, which
// only root on the engine's own host may read. Zero: not known.
func openFiles(c container.InspectResponse) int64 {
	if c.HostConfig != nil {
		for _, u := range c.HostConfig.Ulimits {
			if u.Name == "nofile" {
				return u.Soft
			}
		}
	}
	if c.State == nil || c.State.Pid == 0 {
		return 0
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", c.State.Pid))
	if err != nil {
		return 0
	}
	return softLimit(string(b), "Max open files")
}

// softLimit reads one line of /proc/PID/limits: name, soft limit, hard limit, unit. Zero: not there, or unlimited.
func softLimit(limits, name string) int64 {
	for line := range strings.Lines(limits) {
		rest, ok := strings.CutPrefix(line, name)
		var soft int64
		if ok {
			_, _ = fmt.Sscan(rest, &soft) // "unlimited" leaves zero
			return soft
		}
	}
	return 0
}
