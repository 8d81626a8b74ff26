package helper

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestBadStrainSpecsAreRefusedInWords(t *testing.T) {
	for _, c := range []struct{ spec, want string }{
		{`{"kind":"signal","container":"` + strings.Repeat("a", 64) + `","process":""}`, "would mean all"},
		{`{"kind":"signal","container":"abc","process":"x"}`, "full container id"},
		{`{"kind":"crash-loop","op":"a","lease":"5s","container":"` + strings.Repeat("a", 64) + `","every":"1ms"}`, "below 500ms"},
		{`{"kind":"crash-loop","op":"a","container":"` + strings.Repeat("a", 64) + `","every":"1s"}`, "lease is required"},
		{`{"kind":"nofile","container":"` + strings.Repeat("a", 64) + `","from":5}`, "from and to"},
		{`{"kind":"processes","container":"x"}`, "full container id"},
	} {
		if _, err := call(t, c.spec); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.spec, err, c.want)
		}
	}
}

// files makes a control group of files.
func files(t *testing.T, all map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range all {
		file := filepath.Join(root, "sys/fs/cgroup", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func groupV1(t *testing.T, limit string) string {
	return files(t, map[string]string{
		"memory/memory.limit_in_bytes": limit, "memory/memory.usage_in_bytes": "100000000\n", "memory/memory.stat": "cache 1\ntotal_inactive_file 40000000\n",
		"cpuacct/cpuacct.usage": "5000000000\n", "cpu/cpu.stat": "nr_periods 1\nthrottled_time 7\n",
	})
}

func groupV2(t *testing.T, limit string) string {
	return files(t, map[string]string{
		"cgroup.controllers": "cpu memory\n", "memory.max": limit, "memory.current": "100000000\n", "memory.stat": "anon 1\ninactive_file 40000000\n",
		"cpu.stat": "usage_usec 5000000\nuser_usec 1\nthrottled_usec 7\n",
	})
}

func TestBothVersionsOfControlGroupsAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		root  string
		limit int64
	}{
		"v1": {groupV1(t, "200000000\n"), 200000000}, "v1 without a limit": {groupV1(t, "9223372036854771712\n"), 0},
		"v2": {groupV2(t, "200000000\n"), 200000000}, "v2 without a limit": {groupV2(t, "max\n"), 0},
	} {
		g, err := openGroup(c.root)
		if err != nil {
			t.Fatal(err)
		}
		if set, limit, err := g.memory(); err != nil || set != 60000000 || limit != c.limit {
			t.Errorf("%s: memory %d of %d, %v", name, set, limit, err)
		}
		used, throttled, err := g.cpu()
		if err != nil || used.Seconds() != 5 || (throttled != 7 && throttled.Microseconds() != 7) {
			t.Errorf("%s: cpu %v, throttled %v, %v", name, used, throttled, err)
		}
	}
	if _, err := openGroup(t.TempDir()); err == nil {
		t.Error("no control group: no error")
	}
}

func TestStrainSpecs(t *testing.T) {
	limited, free := groupV1(t, "200000000\n"), groupV2(t, "max\n")
	lease := StrainSpec{Op: "a", Lease: 1e9}
	with := func(change func(*StrainSpec)) StrainSpec { s := lease; change(&s); return s }
	for _, c := range []struct {
		root string
		spec StrainSpec
		want string
	}{
		{limited, StrainSpec{Op: "a"}, "lease is required"},
		{limited, lease, "0 resources"},
		{limited, with(func(s *StrainSpec) { s.CPU, s.Memory = &CPU{}, &Memory{} }), "2 resources"},
		{limited, with(func(s *StrainSpec) { s.CPU = &CPU{Load: 1} }), "0 workers"},
		{limited, with(func(s *StrainSpec) { s.CPU = &CPU{Workers: 1, Load: 2} }), "load 2"},
		{limited, with(func(s *StrainSpec) { s.CPU = &CPU{Workers: 900, Load: 1} }), "all of the host"},
		{limited, with(func(s *StrainSpec) { s.Memory = &Memory{} }), "exactly one"},
		{limited, with(func(s *StrainSpec) { s.Memory = &Memory{Share: 0.99} }), "share 0.99"},
		{limited, with(func(s *StrainSpec) { s.Memory = &Memory{Share: 0.2} }), "nothing to add"},
		{limited, with(func(s *StrainSpec) { s.Memory = &Memory{Size: 180 << 20} }), "too close to its limit"},
		{free, with(func(s *StrainSpec) { s.Memory = &Memory{Share: 0.5} }), "no memory limit"},
		{free, with(func(s *StrainSpec) { s.Memory = &Memory{Beyond: true} }), "whole host"},
		{free, with(func(s *StrainSpec) { s.Memory = &Memory{Size: 1 << 50} }), "too few"},
		{limited, with(func(s *StrainSpec) { s.Disk = &Disk{Path: "/data/", Share: 1, Most: 1} }), "clean absolute"},
		{limited, with(func(s *StrainSpec) { s.Disk = &Disk{Path: "/nowhere", Share: 1, Most: 1} }), "open /nowhere"},
	} {
		if st, err := c.spec.open(c.root); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, %v, want %q", c.spec, st, err, c.want)
		}
	}
}

func TestOnlyFileSystemsWithASizeOfTheirOwnAreFilled(t *testing.T) {
	const mountinfo = `700 1 0:50 / / rw - overlay overlay rw,lowerdir=a
701 700 0:51 / /data rw - tmpfs tmpfs rw,size=32768k
702 700 0:52 / /loose rw - tmpfs tmpfs rw
703 700 254:0 /var/lib/docker/volumes/x/_data /vol rw - ext4 /dev/vda rw
704 700 7:1 / /own rw shared:1 - ext4 /dev/loop1 rw
`
	for _, c := range []struct {
		dir          string
		major, minor uint32
		want         string
	}{
		{"/data", 0, 51, ""},
		{"/data/deep", 0, 51, ""},
		{"/own", 7, 1, ""},
		{"/etc", 0, 50, "host's disk"},
		{"/loose", 0, 52, "no size"},
		{"/vol/x", 254, 0, "part of a larger file system"},
		{"/database", 0, 51, "no mount"},
	} {
		m, err := mountOf([]byte(mountinfo), c.major, c.minor, c.dir)
		if err == nil {
			err = m.sized()
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.dir, err, c.want)
		}
	}
}

func TestAProcessMustBeBelowItsTarget(t *testing.T) {
	const id = "/docker/abc"
	for _, c := range []struct {
		outer, inner string
		ok           bool
	}{
		{"4:memory:" + id, "4:memory:" + id + "/child", true},
		{"4:memory:" + id + "\n1:cpu,cpuacct:" + id, "4:memory:" + id + "/child\n1:cpu,cpuacct:/docker/other", false},
		{"4:memory:" + id, "4:memory:" + id + "def", false},
		{"4:memory:/", "4:memory:/x", false},
		{"0::" + id, "0::" + id + "/x", true},
		{"nonsense", "nonsense", false},
	} {
		if err := nested(groupPaths(c.outer), groupPaths(c.inner)); (err == nil) != c.ok {
			t.Errorf("%q in %q: %v", c.inner, c.outer, err)
		}
	}
}

func TestPatternsOfProcesses(t *testing.T) {
	x := Process{Name: "nginx", Command: "/usr/sbin/nginx -c /etc/nginx.conf"}
	for glob, want := range map[string]bool{"nginx": true, "ngin?": true, "*nginx.conf": true, "/usr/sbin/*": true, "worker": false, "*worker*": false, "": false} {
		if got := x.matches(glob); got != want {
			t.Errorf("%q: %v", glob, got)
		}
	}
}

// TestMemoryIsKeptAtItsLevel: a group that gives back and takes is followed, both ways.
func TestMemoryIsKeptAtItsLevel(t *testing.T) {
	root := groupV1(t, "200000000\n")
	g, err := openGroup(root)
	if err != nil {
		t.Fatal(err)
	}
	h := &hoarder{spec: Memory{Share: 0.5}, group: g, limit: 200000000}
	usage := filepath.Join(root, "sys/fs/cgroup/memory/memory.usage_in_bytes")
	set := func(text string) {
		if err := os.WriteFile(usage, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if more, err := h.step(); !more || err != nil || h.held() != memoryChunk { // 60 of 100 MB
		t.Fatalf("below the level: %v %v, held %d", more, err, h.held())
	}
	set("141000000")
	if more, err := h.step(); more || err != nil || h.held() != memoryChunk {
		t.Errorf("at the level: %v %v, held %d", more, err, h.held())
	}
	set("150000000")
	if _, err := h.step(); err != nil || h.held() != 0 {
		t.Errorf("above the level: %v, held %d", err, h.held())
	}
	if r, err := h.read(); err != nil || r.Reached {
		t.Errorf("a level that others hold is not ours: %+v %v", r, err)
	}
}

func TestDiskFillerGivesBack(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounts a tmpfs")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	g, err := openGroup(groupV2(t, "max\n"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := newDiskFiller(Disk{Path: dir, Share: 0.75, Most: 1 << 30}, "", g)
	if err != nil {
		t.Fatal(err)
	}
	defer f.dir.Close()
	for {
		n, err := f.room()
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		if _, err := f.write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := f.read()
	if err != nil || !r.Reached || r.Held != 3<<20 || r.Free != 1<<20 {
		t.Errorf("filled: %+v %v", r, err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("the file has a name: %v", names)
	}
	if err := f.ease(); err != nil {
		t.Fatal(err)
	}
	if r, err := f.read(); err != nil || r.Free != 4<<20 {
		t.Errorf("after: %+v %v", r, err)
	}
	if _, err := newDiskFiller(Disk{Path: dir, Share: 0.75, Most: 1 << 20}, "", g); err == nil || !strings.Contains(err.Error(), "may be filled") {
		t.Errorf("a file system that is too large: %v", err)
	}
}

// TestARuntimeIsNotCrashed: seen with runc, whose process killed in the middle of a start left the container down for good.
func TestARuntimeIsNotCrashed(t *testing.T) {
	for name, want := range map[string]bool{"runc:[2:INIT]": true, "runc:[1:CHILD]": true, "crun": true, "redis-server": false} {
		if got := (Process{Name: name}).starting(); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
