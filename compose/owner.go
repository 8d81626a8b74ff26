package compose

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is USER_HZ, which Linux fixes at 100 for what it shows in /proc.
const ticksPerSecond = 100

// ownerLives tells whether the process that started a container still runs. On another host, or when in doubt, it
// does: what is not known to be dead is not touched.
func ownerLives(o owner, host string) bool {
	if o.Host != host || o.PID <= 0 {
		return true
	}
	started, ok := processStart(o.PID)
	if !ok {
		return false
	}
	// A process that began after the container was made has only inherited the number. The boot time is in whole
	// seconds, hence the slack.
	return o.Since.IsZero() || !started.After(o.Since.Add(2*time.Second))
}

// processStart is when a process began; false when there is none.
func processStart(pid int) (time.Time, bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return time.Time{}, false
	}
	// The second field, the name, is in brackets and may hold anything; field 22 is the start in ticks since boot.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || string(fields[0]) == "Z" {
		return time.Time{}, false
	}
	ticks, err := strconv.ParseInt(string(fields[19]), 10, 64)
	if err != nil {
		return time.Time{}, true
	}
	return bootTime().Add(time.Duration(ticks) * time.Second / ticksPerSecond), true
}

// bootTime is when the kernel began, the zero time when it does not say.
func bootTime() time.Time {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "btime "); ok {
			secs, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			return time.Unix(secs, 0)
		}
	}
	return time.Time{}
}
