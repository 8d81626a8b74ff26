package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// netemDiagnosis says by which way faults on traffic will be done on this kernel. It reads files only: to try would load
// modules. root is the host's file system.
func netemDiagnosis(root string) drills.Diagnosis {
	d := drills.Diagnosis{
		Part: "host", What: "faults on traffic", Level: drills.LevelOK,
		Why: "delay, loss and copies of what a target sends are netem's where the kernel has it, else the packet queue's, which carries 10000 packets a second",
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		d.Level, d.Found = drills.LevelNotChecked, err.Error()
		return d
	}
	has, err := kernelParts(root, unix.ByteSliceToString(u.Release[:]))
	switch {
	case err != nil:
		d.Level, d.Found, d.Mend = drills.LevelNotChecked, "cannot tell whether this kernel has netem: "+err.Error(), "the record of a run says which way was taken"
	case !has["sch_netem"] || !has["sch_prio"]:
		d.Found = "by the packet queue: this kernel has no " + strings.Join(lacking(has, "sch_netem", "sch_prio"), " and no ")
	case !has["sch_tbf"]:
		d.Found = "by netem; loss by the packet queue: this kernel has no sch_tbf"
	default:
		d.Found = "by netem, where it can keep what a fault means"
	}
	return d
}

func lacking(has map[string]bool, parts ...string) []string {
	return slices.DeleteFunc(parts, func(p string) bool { return has[p] })
}

// kernelParts looks for the queueing disciplines that netem needs: loaded, built in, or installed as modules, which the
// kernel loads by itself. The error says that nothing could be read.
func kernelParts(root, release string) (map[string]bool, error) {
	has := map[string]bool{}
	modules := filepath.Join(root, "lib/modules", release)
	sources := []struct {
		path  string
		names func(line string) string
	}{
		{filepath.Join(root, "proc/modules"), func(l string) string { name, _, _ := strings.Cut(l, " "); return name }},
		{filepath.Join(modules, "modules.builtin"), moduleFile},
		{filepath.Join(modules, "modules.dep"), func(l string) string { file, _, _ := strings.Cut(l, ":"); return moduleFile(file) }},
		{filepath.Join(root, "boot/config-"+release), builtIn},
		{filepath.Join(root, "proc/config.gz"), builtIn},
	}
	var errs []error
	complete := false
	for i, s := range sources {
		err := eachLine(s.path, func(line string) { has[s.names(line)] = true })
		errs = append(errs, err)
		complete = complete || err == nil && i > 0 // what is loaded now is not all that there is
	}
	if complete || has["sch_netem"] && has["sch_prio"] && has["sch_tbf"] {
		return has, nil
	}
	return nil, errors.Join(errs...)
}

// moduleFile is the module's name of kernel/net/sched/sch_netem.ko.xz.
func moduleFile(line string) string {
	name, _, _ := strings.Cut(filepath.Base(strings.TrimSpace(line)), ".ko")
	return name
}

// builtIn is the module's name of CONFIG_NET_SCH_NETEM=y.
func builtIn(line string) string {
	name, ok := strings.CutSuffix(line, "=y")
	if name, found := strings.CutPrefix(name, "CONFIG_NET_"); ok && found {
		return strings.ToLower(name)
	}
	return ""
}

func eachLine(path string, f func(string)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	var r io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(file); err != nil {
			return err
		}
	}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f(lines.Text())
	}
	return lines.Err()
}
