package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// takeLock locks the run directory for this process. The file's text (who, for people) is no part of the lock.
func takeLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, diskError(err, "the run's lock file cannot be opened", dir)
	}
	l := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		defer f.Close()
		owner, _ := io.ReadAll(io.LimitReader(f, 200))
		return nil, drills.Errorf(drills.Locked, "wait for it, or end it with `simulacro abort`",
			"run %s belongs to a live process (%s)", filepath.Base(dir), strings.TrimSpace(string(owner)))
	}
	if err != nil {
		_ = f.Close()
		return nil, diskError(err, "the run cannot be locked", dir)
	}
	host, _ := os.Hostname()
	if f.Truncate(0) == nil {
		_, _ = fmt.Fprintf(f, "pid %d on %s\n", os.Getpid(), host)
	}
	return f, nil
}

// locked tells whether a live process owns the run, without disturbing it.
func locked(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	l := unix.Flock_t{Type: unix.F_RDLCK}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l) == nil && l.Type != unix.F_UNLCK
}
