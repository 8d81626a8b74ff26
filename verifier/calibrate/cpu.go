package calibrate

import (
	"syscall"
	"time"
)

// usage is what the kernel accounts for this process (syscall.RUSAGE_SELF), or for its children once they have ended
// (RUSAGE_CHILDREN).
func usage(who int) (user, system time.Duration) {
	var u syscall.Rusage
	if syscall.Getrusage(who, &u) != nil {
		return 0, 0
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}

// cpuTime is what this process and its children that have ended have used, user and system.
func cpuTime() time.Duration {
	var all time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		user, system := usage(who)
		all += user + system
	}
	return all
}
