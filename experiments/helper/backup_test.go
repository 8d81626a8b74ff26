package helper

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

func TestTheNewestBackupIsLookedAt(t *testing.T) {
	now := time.Now()
	const gzipped20 = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00" // what gzip makes of nothing
	for name, c := range map[string]struct {
		make  func(t *testing.T, dir string)
		spec  BackupSpec
		cause string
		why   string
	}{
		"good":     {make: backups("good good", true, time.Minute), spec: BackupSpec{MinSize: 5}},
		"none":     {make: func(*testing.T, string) {}, cause: "backup-missing", why: "nothing matches"},
		"a folder": {make: func(t *testing.T, dir string) { _ = os.MkdirAll(filepath.Join(dir, "b", "x.gz"), 0o755) }, cause: "backup-missing", why: "no file matches"},
		"20 bytes and a right checksum, as the real system's": {
			make: backups(gzipped20, true, time.Minute), spec: BackupSpec{MinSize: 1000}, cause: "backup-empty", why: "has 20 bytes, and a good one at least 1000; its checksum is right all the same",
		},
		"no byte at all": {make: backups("", true, time.Minute), cause: "backup-empty", why: "has 0 bytes"},
		"changed since":  {make: changed, cause: "backup-checksum", why: "is wrong"},
		"no checksum":    {make: backups("good good", false, time.Minute), cause: "backup-checksum", why: "has no checksum"},
		"too old":        {make: backups("good good", true, 3*time.Hour), spec: BackupSpec{MaxAge: drills.Duration(time.Hour)}, cause: "backup-old", why: "3h0m0s old"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.make(t, dir)
			c.spec.Files, c.spec.Checksum = filepath.Join(dir, "*", "*.gz"), "{file}.sha256"
			found, cause, why := FindBackup(c.spec, now)
			if cause != c.cause || !strings.Contains(why, c.why) || (why == "") != (c.why == "") {
				t.Errorf("%q, %q; want %q, %q", cause, why, c.cause, c.why)
			}
			if c.cause == "" && (filepath.Base(found.File) != "x.gz" || filepath.Base(filepath.Dir(found.File)) != "b" || found.Copies != 2) {
				t.Errorf("found %+v, want the newer of two", found)
			}
		})
	}
}

// TestAGlanceReadsNothing: a look at a list of backups takes no longer for large ones, and still says empty and old.
func TestAGlanceReadsNothing(t *testing.T) {
	dir := t.TempDir()
	changed(t, dir)
	s := BackupSpec{Files: filepath.Join(dir, "*", "*.gz"), Checksum: "{file}.sha256", Glance: true}
	if found, cause, _ := FindBackup(s, time.Now()); cause != "" || found.SHA256 != "" || found.Size != 9 {
		t.Errorf("%q, %+v", cause, found)
	}
	s.MinSize = 100
	if _, cause, _ := FindBackup(s, time.Now()); cause != "backup-empty" {
		t.Errorf("cut short: %q", cause)
	}
	s.MinSize, s.MaxAge = 0, drills.Duration(time.Hour)
	if _, cause, _ := FindBackup(s, time.Now().Add(2*time.Hour)); cause != "backup-old" {
		t.Errorf("old: %q", cause)
	}
}

func TestAnArchiveThatNobodyWritesTo(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	write := func(name string, age time.Duration) {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		_ = os.Chtimes(file, now.Add(-age), now.Add(-age))
	}
	write("000000010000000000000004", time.Hour)
	write("00000002.history", time.Second) // no WAL
	if why := WALOld(dir, time.Minute, now); !strings.Contains(why, "for 1h0m0s, which is longer than 1m0s") {
		t.Errorf("old: %q", why)
	}
	write("000000010000000000000005.partial", time.Second)
	if why := WALOld(dir, time.Minute, now); why != "" {
		t.Errorf("half a segment is being written: %q", why)
	}
	if why := WALOld(filepath.Join(dir, "none"), time.Minute, now); !strings.Contains(why, "cannot be read") {
		t.Errorf("no folder: %q", why)
	}
}

// backups makes an older good one in a/ and the newest in b/.
func backups(content string, sum bool, age time.Duration) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		for i, name := range []string{"a", "b"} {
			_ = os.MkdirAll(filepath.Join(dir, name), 0o755)
			file := filepath.Join(dir, name, "x.gz")
			if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			if sum {
				s, _ := fileSum(file)
				_ = os.WriteFile(file+".sha256", []byte(s+"  x.gz\n"), 0o644)
			}
			at := time.Now().Add(-age - time.Duration(1-i)*time.Hour)
			_ = os.Chtimes(file, at, at)
		}
	}
}

func changed(t *testing.T, dir string) {
	backups("good good", true, time.Minute)(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "b", "x.gz"), []byte("good bad!"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestHolesInAnArchive(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		files   []string
		size    int64
		missing string
	}{
		"whole":                        {[]string{"000000010000000000000004", "000000010000000000000005", "000000010000000000000006.partial"}, 16 * mib, ""},
		"over a log's end":             {[]string{"0000000100000000000000FF", "000000010000000100000000"}, 16 * mib, ""},
		"small, over a log's end":      {[]string{"000000010000000000000FFF", "000000010000000100000000"}, mib, ""},
		"small, a hole at a log's end": {[]string{"0000000100000000000000FF", "000000010000000100000000"}, mib, "3840 segment(s) are missing"},
		"hole":                         {[]string{"000000010000000000000004", "000000010000000000000007"}, 16 * mib, "2 segment(s) are missing between 000000010000000000000004 and 000000010000000000000007"},
		"another timeline":             {[]string{"000000010000000000000004.partial", "000000020000000000000004", "000000020000000000000005"}, 16 * mib, ""},
		"nothing whole":                {[]string{"000000010000000000000004"}, 20, "no whole segment"},
	} {
		t.Run(name, func(t *testing.T) {
			_, missing := holes(c.files, c.size)
			if !strings.Contains(missing, c.missing) || (missing == "") != (c.missing == "") {
				t.Errorf("%q, want %q", missing, c.missing)
			}
		})
	}
}
