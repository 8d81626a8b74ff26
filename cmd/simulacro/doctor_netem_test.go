package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

func TestDoctorSaysByWhichWayFaultsOnTrafficWillBeDone(t *testing.T) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	dep, builtin, config := "lib/modules/"+release+"/modules.dep", "lib/modules/"+release+"/modules.builtin", "boot/config-"+release
	for _, c := range []struct {
		name  string
		files map[string]string
		level drills.Level
		want  string
	}{
		{"nothing to read", nil, drills.LevelNotChecked, "cannot tell"},
		{"loaded modules are not all", map[string]string{"proc/modules": "sch_fq 1 0 - Live 0x0\n"}, drills.LevelNotChecked, "cannot tell"},
		{"loaded", map[string]string{"proc/modules": "sch_netem 1 0\nsch_prio 1 0\nsch_tbf 1 0\n"}, drills.LevelOK, "by netem, where"},
		{"installed, compressed", map[string]string{dep: "kernel/net/sched/sch_netem.ko.xz: kernel/lib/x.ko.xz\nkernel/net/sched/sch_prio.ko.zst:\nk/sch_tbf.ko:\n"}, drills.LevelOK, "by netem, where"},
		{"only as what others need", map[string]string{dep: "kernel/a.ko: kernel/net/sched/sch_netem.ko kernel/sch_prio.ko\n"}, drills.LevelOK, "no sch_netem and no sch_prio"},
		{"built in", map[string]string{builtin: "kernel/net/sched/sch_netem.ko\nkernel/net/sched/sch_prio.ko\n", dep: "k/sch_tbf.ko:\n"}, drills.LevelOK, "by netem, where"},
		{"by the settings", map[string]string{config: "CONFIG_NET_SCH_NETEM=y\nCONFIG_NET_SCH_PRIO=y\nCONFIG_NET_SCH_TBF=m\n"}, drills.LevelOK, "loss by the packet queue"},
		{"without netem", map[string]string{"proc/config.gz": "# CONFIG_NET_SCH_NETEM is not set\nCONFIG_NET_SCH_PRIO=y\n"}, drills.LevelOK, "by the packet queue: this kernel has no sch_netem"},
		{"without prio", map[string]string{config: "CONFIG_NET_SCH_NETEM=y\n"}, drills.LevelOK, "no sch_prio"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range c.files {
				put(t, filepath.Join(root, name), text)
			}
			if d := netemDiagnosis(root); d.Level != c.level || !strings.Contains(d.Found, c.want) || d.Part != "host" {
				t.Errorf("%+v, want %q", d, c.want)
			}
		})
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	b := bytes.NewBufferString(text)
	if strings.HasSuffix(path, ".gz") {
		b = new(bytes.Buffer)
		z := gzip.NewWriter(b)
		if _, err := z.Write([]byte(text)); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
