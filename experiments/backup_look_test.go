package experiments

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// TestBackupsAreLookedAt: by the real agent, whose file system is this host's.
func TestBackupsAreLookedAt(t *testing.T) {
	dir, wal := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "1.gz"), []byte("good good"), 0o600); err != nil {
		t.Fatal(err)
	}
	segment := func(name string) {
		f, err := os.Create(filepath.Join(wal, name))
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Truncate(16 << 20) // sparse
		_ = f.Close()
	}
	segment("000000010000000000000004")
	var agents agentHere
	defer agents.ended.Wait()
	place := drills.BackupPlace{Files: filepath.Join(dir, "*.gz"), MaxAge: drills.Duration(time.Hour), WAL: wal, WALMaxAge: drills.Duration(time.Minute)}
	look := func() drills.BackupState {
		s, err := LookAtBackups(t.Context(), &agents, drills.Member{ID: "m"}, place)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := look(); s.Why != "" || s.Newest == nil || s.Newest.Size != 9 || s.WALHole != "" || !strings.Contains(s.WAL, "none missing") {
		t.Errorf("%+v", s)
	}
	segment("000000010000000000000007")
	place.MinSize = 1000
	if s := look(); s.Cause != "backup-empty" || !strings.Contains(s.WALHole, "2 segment(s) are missing") {
		t.Errorf("%+v", s)
	}
}
