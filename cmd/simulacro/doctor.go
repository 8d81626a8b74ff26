package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// diagnosis is one line of the doctor: what was looked at, what was found, why it matters, how to mend it.
type diagnosis struct {
	Part  string `json:"part"` // host | engine | system | monitoring
	What  string `json:"what"`
	Level string `json:"level"` // ok | warning | problem
	Found string `json:"found"`
	Why   string `json:"why,omitempty"`
	Mend  string `json:"mend,omitempty"`
}

func (a *app) doctorCmd() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Look at this host, the engine, the system and its monitoring, and say what would stand in a drill's way", Args: cobra.NoArgs,
		Long: "Exit code 0: nothing in the way (warnings allowed); 3: a problem was found. Nothing is changed.",
		RunE: func(c *cobra.Command, _ []string) error { return a.doctor(c.Context()) },
	}
}

func (a *app) doctor(ctx context.Context) error {
	sys, err := a.loadSystem()
	if err != nil {
		return err
	}
	ds := hostDiagnoses(a.runs)
	ds = append(ds, a.systemDiagnoses(ctx, sys)...)
	a.printDiagnoses(ds)
	for _, d := range ds {
		if d.Level == "problem" {
			return exit{drills.ExitUnproven}
		}
	}
	return nil
}

func hostDiagnoses(runs string) []diagnosis {
	return []diagnosis{kernelDiagnosis(), nofileDiagnosis(), realtimeDiagnosis(), diskDiagnosis(runs), clockDiagnosis()}
}

// kernelDiagnosis: owner tables of nftables vanish with their process; they came with Linux 5.12 (NFT_TABLE_F_OWNER).
func kernelDiagnosis() diagnosis {
	d := diagnosis{Part: "host", What: "kernel", Level: "ok", Why: "network faults live in nftables owner tables, which vanish with their process (Linux 5.12 or newer)"}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		d.Level, d.Found = "warning", err.Error()
		return d
	}
	d.Found = unix.ByteSliceToString(u.Release[:])
	var major, minor int
	if _, err := fmt.Sscanf(d.Found, "%d.%d", &major, &minor); err != nil || major < 5 || (major == 5 && minor < 12) {
		d.Level, d.Mend = "problem", "drills without network faults still work; upgrade the kernel for partitions"
	}
	return d
}

func nofileDiagnosis() diagnosis {
	d := diagnosis{Part: "host", What: "open files", Level: "ok", Why: "one process holds at most this many connections of a load"}
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		d.Level, d.Found = "warning", err.Error()
		return d
	}
	d.Found = fmt.Sprintf("%d, at most %d", l.Cur, l.Max)
	if l.Max < 8192 {
		d.Level, d.Mend = "warning", "raise the hard limit (ulimit -Hn) for loads of more connections"
	}
	return d
}

// realtimeDiagnosis looks for CAP_SYS_NICE (bit 23) in the effective set.
func realtimeDiagnosis() diagnosis {
	d := diagnosis{Part: "host", What: "realtime scheduling", Level: "ok", Found: "allowed", Why: "probes on a busy host are late without it; their lateness then widens the intervals"}
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		d.Level, d.Found = "warning", err.Error()
		return d
	}
	var caps uint64
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "CapEff:"); ok {
			_, _ = fmt.Sscanf(strings.TrimSpace(rest), "%x", &caps) // zero when unreadable: not allowed
		}
	}
	if caps&(1<<23) == 0 {
		d.Level, d.Found, d.Mend = "warning", "not allowed for plain processes", "give CAP_SYS_NICE, or run probes from a network vantage"
	}
	return d
}

func diskDiagnosis(runs string) diagnosis {
	d := diagnosis{Part: "host", What: "space for runs", Level: "ok", Why: "a journal that cannot be written stops the run"}
	dir := runs
	if _, err := os.Stat(dir); err != nil {
		dir = "."
	}
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		d.Level, d.Found = "problem", err.Error()
		return d
	}
	free := s.Bavail * uint64(s.Bsize) / (1 << 20)
	d.Found = fmt.Sprintf("%d MiB free under %s", free, dir)
	if free < 256 {
		d.Level, d.Mend = "problem", "free some space, or keep runs elsewhere (--runs)"
	}
	return d
}

// clockDiagnosis asks the kernel whether anything disciplines its clock (adjtimex status, STA_UNSYNC = 0x40).
func clockDiagnosis() diagnosis {
	d := diagnosis{Part: "host", What: "clock", Level: "ok", Found: "synchronised", Why: "lengths are measured on the monotonic clock; only the dates in the record depend on this"}
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		d.Level, d.Found = "warning", err.Error()
		return d
	}
	if t.Status&0x40 != 0 {
		d.Level, d.Found, d.Mend = "warning", "not synchronised", "run an NTP client"
	}
	return d
}

func (a *app) printDiagnoses(ds []diagnosis) {
	if a.asJSON {
		a.json(ds)
		return
	}
	for _, d := range ds {
		a.printf("%-8s %-11s %-34s %s\n", strings.ToUpper(d.Level), d.Part, d.What, d.Found)
		if d.Level != "ok" {
			if d.Why != "" {
				a.printf("%21s why: %s\n", "", d.Why)
			}
			if d.Mend != "" {
				a.printf("%21s mend: %s\n", "", d.Mend)
			}
		}
	}
}
