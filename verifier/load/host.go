package load

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// What says that the generator itself was at its limit.
const (
	lagLimit = 50 * time.Millisecond // p99 of its own lateness
	cpuLimit = 0.9                   // of its cores, over a second
	lagEvery = 20 * time.Millisecond
	// p99 of what a message waits in our own sockets: a quarter of the delivery bound that is usual, one second.
	readingLimit = 250 * time.Millisecond
	// reserve of files for everything that is not a connection.
	reserve = 64
)

// limits counts what the generator itself lacked.
type limits struct {
	sockets int64  // attempts that failed for want of files, ports or memory
	tokens  int64  // attempts that failed because the target does not accept our token
	nofile  uint64 // files that this process may open
	seconds int    // measured
	busy    int    // of them, with the CPU used up
	threads int    // of them, with the thread of one share used up
	lost    int    // shares whose process ended before its time
	crowded string // too many connections for each pair of addresses
}

// raiseFiles raises the soft limit of open files to the hard one and returns it.
func raiseFiles() uint64 {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	if r.Cur < r.Max {
		up := syscall.Rlimit{Cur: r.Max, Max: r.Max}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &up) == nil {
			r.Cur = r.Max
		}
	}
	return r.Cur
}

// cpuTime is what this process has used, user and system.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// rss is this process's resident memory in bytes; 0 when it is not known.
func rss() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}

// pss is this process's share of memory in bytes, pages that several processes share divided by them; 0 when not known.
func pss() int64 {
	b, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// watchLag measures how late this process is woken, on an absolute schedule, until ctx ends.
func watchLag(ctx context.Context, lag *timing) {
	due := time.Now()
	for {
		due = due.Add(lagEvery)
		if !pause(ctx, due) {
			return
		}
		late := time.Since(due)
		lag.add(late)
		if late > lagEvery { // slots that were slept through are one lateness, not many
			due = due.Add(late.Truncate(lagEvery))
		}
	}
}

// saturated says, in words, what the generator could not do; empty when it kept up.
func (l *limits) saturated(lag, late, reading time.Duration) string {
	var out []string
	say := func(format string, v ...any) { out = append(out, fmt.Sprintf(format, v...)) }
	if l.lost > 0 {
		say("%d of its processes ended before their time", l.lost)
	}
	if n := l.sockets; n > 0 {
		say("%d attempts to connect failed for want of files, ports or memory of the generator", n)
	}
	if n := l.tokens; n > 0 {
		say("%d attempts to connect failed because the target did not accept the generator's token", n)
	}
	if lag > lagLimit {
		say("woken up to %s late (p99)", lag.Round(time.Millisecond))
	}
	if late > lagLimit {
		say("published up to %s behind schedule (p99)", late.Round(time.Millisecond))
	}
	if reading > readingLimit {
		say("messages waited up to %s in its sockets (p99)", reading.Round(time.Millisecond))
	}
	if l.crowded != "" && l.sockets > 0 {
		say("%s", l.crowded)
	}
	if l.threads > 0 {
		say("a receive loop used up its core in %d s", l.threads)
	}
	if l.busy > 0 {
		say("used up its CPU (%d cores) in %d of %d s", runtime.GOMAXPROCS(0), l.busy, l.seconds)
	}
	return strings.Join(out, "; ")
}
