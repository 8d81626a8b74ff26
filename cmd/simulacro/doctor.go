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

func (a *app) doctorCmd() *cobra.Command {
	active := false
	c := &cobra.Command{
		Use: "doctor", Short: "Look at this host, the engine, the system and its monitoring, and say what would stand in a drill's way", Args: cobra.NoArgs,
		Long: "Exit code 0: nothing in the way (warnings allowed); 3: a problem was found. Nothing is changed. Only with --active does it do something itself: " +
			"it holds the connections and publishes the messages that monitoring.truth of the system file allows, on a topic of its own, and compares what the metrics say.",
		RunE: func(c *cobra.Command, _ []string) error { return a.doctor(c.Context(), active) },
	}
	c.Flags().BoolVar(&active, "active", false, "compare metrics with what we do ourselves (monitoring.truth); takes about six scrapes")
	return c
}

func (a *app) doctor(ctx context.Context, active bool) error {
	sys, err := a.loadSystem()
	if err != nil {
		return err
	}
	ds := hostDiagnoses(a.runs)
	ds = append(ds, a.systemDiagnoses(ctx, sys, active)...)
	ds = append(ds, secretDiagnosis(sys))
	a.printDiagnoses(ds)
	for _, d := range ds {
		if d.Level == drills.LevelProblem {
			return exit{drills.ExitUnproven}
		}
	}
	return nil
}

func hostDiagnoses(runs string) []drills.Diagnosis {
	return []drills.Diagnosis{kernelDiagnosis(), netemDiagnosis("/"), nofileDiagnosis(), realtimeDiagnosis(), diskDiagnosis(runs), clockDiagnosis()}
}

// kernelDiagnosis: owner tables of nftables vanish with their process; they came with Linux 5.12 (NFT_TABLE_F_OWNER).
func kernelDiagnosis() drills.Diagnosis {
	d := drills.Diagnosis{Part: "host", What: "kernel", Level: drills.LevelOK, Why: "network faults live in nftables owner tables, which vanish with their process (Linux 5.12 or newer)"}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		d.Level, d.Found = drills.LevelWarning, err.Error()
		return d
	}
	d.Found = unix.ByteSliceToString(u.Release[:])
	var major, minor int
	if _, err := fmt.Sscanf(d.Found, "%d.%d", &major, &minor); err != nil || major < 5 || (major == 5 && minor < 12) {
		d.Level, d.Mend = drills.LevelProblem, "drills without network faults still work; upgrade the kernel for partitions"
	}
	return d
}

func nofileDiagnosis() drills.Diagnosis {
	d := drills.Diagnosis{Part: "host", What: "open files", Level: drills.LevelOK, Why: "one process holds at most this many connections of a load"}
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		d.Level, d.Found = drills.LevelWarning, err.Error()
		return d
	}
	d.Found = fmt.Sprintf("%d, at most %d", l.Cur, l.Max)
	if l.Max < 8192 {
		d.Level, d.Mend = drills.LevelWarning, "raise the hard limit (ulimit -Hn) for loads of more connections"
	}
	return d
}

// realtimeDiagnosis looks for CAP_SYS_NICE (bit 23) in the effective set.
func realtimeDiagnosis() drills.Diagnosis {
	d := drills.Diagnosis{Part: "host", What: "realtime scheduling", Level: drills.LevelOK, Found: "allowed", Why: "probes on a busy host are late without it; their lateness then widens the intervals"}
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		d.Level, d.Found = drills.LevelWarning, err.Error()
		return d
	}
	var caps uint64
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "CapEff:"); ok {
			_, _ = fmt.Sscanf(strings.TrimSpace(rest), "%x", &caps) // zero when unreadable: not allowed
		}
	}
	if caps&(1<<23) == 0 {
		d.Level, d.Found, d.Mend = drills.LevelWarning, "not allowed for plain processes", "give CAP_SYS_NICE, or run probes from a network vantage"
	}
	return d
}

func diskDiagnosis(runs string) drills.Diagnosis {
	d := drills.Diagnosis{Part: "host", What: "space for runs", Level: drills.LevelOK, Why: "a journal that cannot be written stops the run"}
	dir := runs
	if _, err := os.Stat(dir); err != nil {
		dir = "."
	}
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		d.Level, d.Found = drills.LevelProblem, err.Error()
		return d
	}
	free := s.Bavail * uint64(s.Bsize) / (1 << 20)
	d.Found = fmt.Sprintf("%d MiB free under %s", free, dir)
	if free < 256 {
		d.Level, d.Mend = drills.LevelProblem, "free some space, or keep runs elsewhere (--runs)"
	}
	return d
}

// clockDiagnosis asks the kernel whether anything disciplines its clock (adjtimex status, STA_UNSYNC = 0x40).
func clockDiagnosis() drills.Diagnosis {
	d := drills.Diagnosis{Part: "host", What: "clock", Level: drills.LevelOK, Found: "synchronised", Why: "lengths are measured on the monotonic clock; only the dates in the record depend on this"}
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		d.Level, d.Found = drills.LevelWarning, err.Error()
		return d
	}
	if t.Status&0x40 != 0 {
		d.Level, d.Found, d.Mend = drills.LevelWarning, "not synchronised", "run an NTP client"
	}
	return d
}

func (a *app) printDiagnoses(ds []drills.Diagnosis) {
	if a.asJSON {
		a.json(map[string]any{"diagnoses": ds, "checklist": drills.Checklist(ds)})
		return
	}
	defer a.printChecklist(ds)
	for _, d := range ds {
		a.printf("%-11s %-11s %-34s %s\n", strings.ToUpper(string(d.Level)), d.Part, d.What, d.Found)
		if d.Level != drills.LevelOK {
			if d.Why != "" {
				a.printf("%24s why: %s\n", "", d.Why)
			}
			if d.Mend != "" {
				a.printf("%24s mend: %s\n", "", d.Mend)
			}
		}
	}
}
