package helper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Disk asks for a file system of the target to be filled until Share of it is in use. It must have a size of its own, at
// most Most bytes: the host's disk is not filled.
type Disk struct {
	Path  string  `json:"path"`  // a directory, as the target names it
	Share float64 `json:"share"` // 0..1 of what ordinary users may use
	Most  int64   `json:"most"`  // bytes
}

const (
	diskChunk = 1 << 20
	fillEvery = 50 * time.Millisecond
	// tmpfsReserve is how much of the memory limit a filled tmpfs, which is memory, must leave.
	tmpfsReserve = 16 << 20
)

// diskFiller holds a file without a name: its space is back when it is closed, or when this process ends.
type diskFiller struct {
	spec Disk
	dir  *os.File // to look at the space, also when the file is gone
	file *os.File

	mu   sync.Mutex
	held int64
}

func newDiskFiller(spec Disk, root string, g group) (*diskFiller, error) {
	switch {
	case !path.IsAbs(spec.Path) || path.Clean(spec.Path) != spec.Path:
		return nil, fmt.Errorf("spec: disk: path %q is not a clean absolute path", spec.Path)
	case spec.Share <= 0 || spec.Share > 1:
		return nil, fmt.Errorf("spec: disk: share %v is not within (0, 1]", spec.Share)
	case spec.Most <= 0:
		return nil, errors.New("spec: disk: most is required")
	}
	dir, err := openInside(root, spec.Path)
	if err != nil {
		return nil, err
	}
	f := &diskFiller{spec: spec, dir: os.NewFile(uintptr(dir), spec.Path)}
	err = spec.mayFill(root, dir, g)
	if err == nil {
		f.file, err = nameless(dir, spec.Path)
	}
	if err != nil {
		return nil, errors.Join(err, f.dir.Close())
	}
	return f, nil
}

// openInside opens a directory of the target's file system; links are followed as the target would follow them.
func openInside(root, name string) (int, error) {
	if root == "" {
		root = "/"
	}
	top, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the target's file system: %w", err)
	}
	defer unix.Close(top)
	fd, err := unix.Openat2(top, "."+name, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return -1, fmt.Errorf("open %s in the target: %w", name, err)
	}
	return fd, nil
}

// nameless makes a file that nobody else can see.
func nameless(dir int, where string) (*os.File, error) {
	fd, err := unix.Openat(dir, ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
		name := fmt.Sprintf(".simulacro-fill-%d", os.Getpid())
		if fd, err = unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600); err == nil {
			err = unix.Unlinkat(dir, name, 0)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make a file in %s: %w", where, err)
	}
	return os.NewFile(uintptr(fd), "fill"), nil
}

// mayFill refuses a file system whose space is not the target's alone.
func (d Disk) mayFill(root string, dir int, g group) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(dir, &st); err != nil {
		return err
	}
	var at unix.Stat_t
	if err := unix.Fstat(dir, &at); err != nil {
		return err
	}
	mounts, err := os.ReadFile(mountsOf(root))
	if err != nil {
		return fmt.Errorf("read the target's mounts: %w", err)
	}
	m, err := mountOf(mounts, unix.Major(at.Dev), unix.Minor(at.Dev), d.Path)
	if err != nil {
		return err
	}
	size := int64(st.Blocks) * st.Bsize
	if err := m.sized(); err != nil {
		return err
	}
	if size > d.Most {
		return fmt.Errorf("the file system at %s has %d MiB, more than the %d MiB that may be filled", m.point, size>>20, d.Most>>20)
	}
	if m.kind != "tmpfs" {
		return nil
	}
	set, limit, err := g.memory()
	if add := int64(st.Bavail) * st.Bsize; err == nil && limit > 0 && set+add > limit-tmpfsReserve {
		return fmt.Errorf("%s is memory: filling its %d MiB would go beyond the target's memory limit of %d MiB, of which %d MiB are used", m.point, add>>20, limit>>20, set>>20)
	}
	return err
}

func mountsOf(root string) string {
	if root == "" {
		return "/proc/self/mountinfo"
	}
	return "/proc/1/mountinfo"
}

// mounted is one line of mountinfo.
type mounted struct {
	device, root, point, kind string
	options                   []string // the file system's own
}

// mountOf finds the mount that a directory is on: the longest mount point above it, of that device.
func mountOf(mountinfo []byte, major, minor uint32, dir string) (mounted, error) {
	var found mounted
	for line := range bytes.Lines(mountinfo) {
		left, right, ok := strings.Cut(strings.TrimSpace(string(line)), " - ")
		a, b := strings.Fields(left), strings.Fields(right)
		if !ok || len(a) < 6 || len(b) < 3 {
			continue
		}
		m := mounted{device: a[2], root: a[3], point: a[4], kind: b[0], options: strings.Split(b[2], ",")}
		if m.device == fmt.Sprintf("%d:%d", major, minor) && below(dir, m.point) && len(m.point) >= len(found.point) {
			found = m
		}
	}
	if found.point == "" {
		return found, fmt.Errorf("no mount of the target holds %s: name the directory without links", dir)
	}
	return found, nil
}

func below(dir, point string) bool {
	return dir == point || point == "/" || strings.HasPrefix(dir, point+"/")
}

// sized says why a mount's space is not the target's alone; nil when it is.
func (m mounted) sized() error {
	hint := "mount a volume with a file system of its own, or a tmpfs with a size"
	switch {
	case m.point == "/" || strings.Contains(m.kind, "overlay"):
		return fmt.Errorf("that is the container's own layer, which is on the host's disk: %s", hint)
	case m.root != "/":
		return fmt.Errorf("%s is a part of a larger file system (%s of device %s), the host's: %s", m.point, m.root, m.device, hint)
	case m.kind == "tmpfs" && !slices.ContainsFunc(m.options, func(o string) bool { return strings.HasPrefix(o, "size=") }):
		return fmt.Errorf("the tmpfs at %s has no size: %s", m.point, hint)
	}
	return nil
}

// work fills, and fills again what the target frees.
func (f *diskFiller) work(ctx context.Context) error {
	block := bytes.Repeat([]byte{0xa5}, diskChunk)
	t := time.NewTicker(fillEvery)
	defer t.Stop()
	for {
		for ctx.Err() == nil {
			n, err := f.room()
			if err != nil || n == 0 {
				break
			}
			if full, err := f.write(block[:n]); err != nil {
				return err
			} else if full {
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// room is how many bytes the next write may have.
func (f *diskFiller) room() (int64, error) {
	r, err := f.read()
	if err != nil {
		return 0, err
	}
	return max(0, min(diskChunk, r.Free-int64((1-f.spec.Share)*float64(r.Size)))), nil
}

// write adds to the file; full is what was wanted.
func (f *diskFiller) write(b []byte) (full bool, err error) {
	n, err := f.file.Write(b)
	f.mu.Lock()
	f.held += int64(n)
	f.mu.Unlock()
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return true, nil
	}
	return false, err
}

// read says how full the file system is: Size is what ordinary users may use in all.
func (f *diskFiller) read() (Reading, error) {
	r := reading()
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Held = f.held
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.dir.Fd()), &st); err != nil {
		return r, err
	}
	r.Free = int64(st.Bavail) * st.Bsize
	r.Size = int64(st.Blocks-st.Bfree+st.Bavail) * st.Bsize
	r.Reached = r.Held > 0 && float64(r.Free) <= (1-f.spec.Share)*float64(r.Size)+diskChunk
	return r, nil
}

// ease gives the space back. The directory stays open for a last look; it is closed with the process, at once.
func (f *diskFiller) ease() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	err := errors.Join(f.file.Truncate(0), f.file.Close())
	f.file, f.held = nil, 0
	return err
}
