package helper

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// groupDir is a directory with the files of a block I/O group; the kernel's keep one line per device, these what was written
// last.
func groupDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, way := range []string{"read_bps", "read_iops", "write_bps", "write_iops"} {
		name := throttleFiles + way + "_device"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(files[way]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestOnlyOurThrottleIsTakenBack: whole, half set by a helper that was killed, beside another device's, or another's by now.
func TestOnlyOurThrottleIsTakenBack(t *testing.T) {
	for name, c := range map[string]struct {
		have, want    map[string]string
		there, others bool
	}{
		"none":             {map[string]string{}, map[string]string{}, false, false},
		"whole":            {map[string]string{"read_iops": "254:0 20\n", "write_iops": "254:0 20\n"}, map[string]string{"read_iops": "254:0 0", "write_iops": "254:0 0"}, true, false},
		"half":             {map[string]string{"write_iops": "254:0 20\n"}, map[string]string{"write_iops": "254:0 0"}, true, false},
		"another device's": {map[string]string{"write_iops": "7:0 20\n"}, map[string]string{"write_iops": "7:0 20\n"}, false, false},
		"another's":        {map[string]string{"read_iops": "254:0 20\n", "write_iops": "254:0 9\n"}, map[string]string{"read_iops": "254:0 0", "write_iops": "254:0 9\n"}, true, true},
		"another kind":     {map[string]string{"write_bps": "254:0 4096\n"}, map[string]string{"write_bps": "254:0 4096\n"}, false, true},
	} {
		dir := groupDir(t, c.have)
		x := throttler{spec: ThrottleSpec{Group: dir, Limit: Throttle{Ops: 20}}, out: Throttled{Device: "254:0"}}
		if err := x.look(); err != nil || x.out.There != c.there || x.out.Others != c.others {
			t.Errorf("%s: %+v %v", name, x.out, err)
		}
		if err := x.off(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, way := range []string{"read_bps", "read_iops", "write_bps", "write_iops"} {
			if b, _ := os.ReadFile(filepath.Join(dir, throttleFiles+way+"_device")); string(b) != c.want[way] {
				t.Errorf("%s: %s is %q, want %q", name, way, b, c.want[way])
			}
		}
	}
	x := throttler{spec: ThrottleSpec{Group: t.TempDir(), Limit: Throttle{Ops: 20}}}
	if err := x.look(); err == nil || !strings.Contains(err.Error(), "not possible here because the kernel") {
		t.Errorf("a kernel without throttles: %v", err)
	}
}

func TestAWholeDiskIsThrottled(t *testing.T) {
	dir := t.TempDir()
	var at unix.Stat_t
	if err := unix.Stat(dir, &at); err != nil {
		t.Fatal(err)
	}
	number := strings.Join([]string{itoa(unix.Major(at.Dev)), itoa(unix.Minor(at.Dev))}, ":")
	devices := t.TempDir()
	if _, err := deviceUnder(dir, devices); err == nil || !strings.Contains(err.Error(), "not possible here because the volume") {
		t.Errorf("no block device: %v", err)
	}
	part := filepath.Join(devices, "sda", "sda1")
	for _, err := range []error{
		os.MkdirAll(part, 0o700), os.Symlink("sda/sda1", filepath.Join(devices, number)), os.WriteFile(filepath.Join(devices, "sda", "dev"), []byte("8:0\n"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, err := deviceUnder(dir, devices); err != nil || got != number {
		t.Errorf("a disk: %q %v, want %s", got, err, number)
	}
	if err := os.WriteFile(filepath.Join(part, "partition"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := deviceUnder(dir, devices); err != nil || got != "8:0" {
		t.Errorf("a partition: %q %v, want its disk", got, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := deviceUnder(file, devices); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func TestASlowedDisk(t *testing.T) {
	fast := Speed{Writes: 200, Block: 4096, Took: 0.01, Mean: 50}
	for name, c := range map[string]struct {
		limit         Throttle
		before, after Speed
		want          bool
	}{
		"at the limit of operations":    {Throttle{Ops: 20}, fast, Speed{Writes: 30, Block: 4096, Took: 1.5, Mean: 50_000}, true},
		"faster than the limit":         {Throttle{Ops: 20}, fast, Speed{Writes: 60, Block: 4096, Took: 1.5, Mean: 25_000}, false},
		"at the limit of bytes":         {Throttle{Rate: 65536}, fast, Speed{Writes: 24, Block: 4096, Took: 1.5, Mean: 62_500}, true},
		"more bytes than the limit":     {Throttle{Rate: 65536}, fast, Speed{Writes: 48, Block: 4096, Took: 1.5, Mean: 31_250}, false},
		"as slow as it was":             {Throttle{Ops: 20}, Speed{Writes: 40, Took: 1.5, Mean: 37_500}, Speed{Writes: 30, Took: 1.5, Mean: 50_000}, false},
		"both limits, one of them only": {Throttle{Ops: 100, Rate: 65536}, fast, Speed{Writes: 48, Block: 4096, Took: 1.5, Mean: 31_250}, false},
		"nothing measured":              {Throttle{Ops: 20}, fast, Speed{}, false},
	} {
		if got := c.limit.slowed(c.before, c.after); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
