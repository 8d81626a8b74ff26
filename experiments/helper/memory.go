package helper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// Memory asks for memory to be held: as much as brings the whole group to Share of its limit, and kept there while the
// target takes and gives back; or Size bytes of our own. Beyond goes on until the kernel ends somebody.
type Memory struct {
	Share  float64 `json:"share,omitempty"` // 0..MostMemory
	Size   int64   `json:"size,omitempty"`  // bytes
	Beyond bool    `json:"beyond,omitempty"`
}

// MostMemory is the largest share of a limit that is asked for without wanting the kernel to end processes.
const MostMemory = 0.95

const (
	memoryChunk = 4 << 20
	// hoardEvery is how often the level is looked at.
	hoardEvery = 20 * time.Millisecond
	// hostReserve is what must stay available on the host when the target has no limit, in bytes.
	hostReserve = 1 << 30
)

// hoarder holds memory outside of Go's heap, which would give it back.
type hoarder struct {
	spec  Memory
	group group
	limit int64

	mu     sync.Mutex
	chunks [][]byte
	files  []int // Beyond: memory without a process that it could be blamed on
}

func newHoarder(spec Memory, g group) (*hoarder, error) {
	set, limit, err := g.memory()
	if err != nil {
		return nil, err
	}
	h := &hoarder{spec: spec, group: g, limit: limit}
	switch {
	case spec.Beyond:
		if limit == 0 {
			return nil, errors.New("the target has no memory limit: the kernel would look for a victim on the whole host")
		}
		return h, nil
	case (spec.Share > 0) == (spec.Size > 0):
		return nil, errors.New("spec: memory: exactly one of share and size is needed")
	case spec.Share < 0 || spec.Share > MostMemory:
		return nil, fmt.Errorf("spec: memory: share %v is not within (0, %v]", spec.Share, MostMemory)
	case spec.Share > 0 && limit == 0:
		return nil, errors.New("the target has no memory limit, so a share of it means nothing: give it a limit, or ask for a size")
	case spec.Share > 0 && h.level()-set < memoryChunk:
		return nil, fmt.Errorf("the target is at %d%% of its memory limit by itself: there is nothing to add", 100*set/limit)
	case limit > 0 && spec.Size > int64(MostMemory*float64(limit))-set:
		return nil, fmt.Errorf("%d bytes on top of the target's %d would come too close to its limit of %d", spec.Size, set, limit)
	}
	return h, h.hostHas(spec.Size)
}

// hostHas refuses a size that the host cannot give without harm; a limited target cannot take more than its limit.
func (h *hoarder) hostHas(size int64) error {
	if h.limit > 0 {
		size = h.limit
	}
	available, err := memAvailable("/proc/meminfo")
	if err != nil {
		return err
	}
	if available-size < hostReserve {
		return fmt.Errorf("the host has %d MiB of memory available, too few to give %d MiB and keep %d MiB", available>>20, size>>20, hostReserve>>20)
	}
	return nil
}

func memAvailable(path string) (int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("%s does not say how much memory is available", path)
}

// level is how much the whole group should hold, in bytes.
func (h *hoarder) level() int64 { return int64(h.spec.Share * float64(h.limit)) }

// work takes memory, and gives some back when the target needs it.
func (h *hoarder) work(ctx context.Context) error {
	t := time.NewTicker(hoardEvery)
	defer t.Stop()
	for {
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = h.step(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// step moves by one chunk and says whether another step may follow at once.
func (h *hoarder) step() (bool, error) {
	switch missing := h.missing(); {
	case missing >= memoryChunk:
		return !h.spec.Beyond, h.take() // beyond the limit the pace leaves the kernel time to act
	case missing < -memoryChunk:
		return h.give()
	}
	return false, nil
}

// missing is how many bytes are to be taken; below zero: to be given back. A look that fails changes nothing; the next one
// tells.
func (h *hoarder) missing() int64 {
	switch {
	case h.spec.Beyond:
		return memoryChunk
	case h.spec.Size > 0:
		return h.spec.Size - h.held() + memoryChunk - 1
	}
	set, _, err := h.group.memory()
	if err != nil {
		return 0
	}
	return h.level() - set
}

// take maps a chunk and writes to each of its pages, so that it is really there.
func (h *hoarder) take() error {
	if h.spec.Beyond {
		return h.takeNameless()
	}
	b, err := unix.Mmap(-1, 0, memoryChunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return fmt.Errorf("take memory: %w", err)
	}
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] = 1
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.chunks = append(h.chunks, b)
	return nil
}

// takeNameless takes a chunk as a file in memory that is not mapped: the group is charged for it, and the kernel, which looks
// for the largest process, finds one of the target's instead of ours.
func (h *hoarder) takeNameless() error {
	fd, err := unix.MemfdCreate("simulacro", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("take memory: %w", err)
	}
	h.mu.Lock()
	h.files = append(h.files, fd)
	h.mu.Unlock()
	_, err = unix.Write(fd, make([]byte, memoryChunk))
	if errors.Is(err, unix.ENOMEM) {
		return nil // the kernel is at it
	}
	return err
}

func (h *hoarder) give() (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.chunks) - 1
	if n < 0 {
		return false, nil
	}
	err := unix.Munmap(h.chunks[n])
	h.chunks = h.chunks[:n]
	return n > 0, err
}

func (h *hoarder) held() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return int64(len(h.chunks)) * memoryChunk
}

// read says what the group holds. Reached needs some of it to be ours.
func (h *hoarder) read() (Reading, error) {
	set, limit, err := h.group.memory()
	if err != nil {
		return Reading{}, err
	}
	r := reading()
	r.Memory, r.Limit, r.Held = set, limit, h.held()
	switch {
	case r.Held == 0 || set < r.Held/10*9: // pages that the group does not count are somebody else's
	case h.spec.Size > 0:
		r.Reached = r.Held >= h.spec.Size
	case h.spec.Share > 0:
		r.Reached = set >= h.level()-2*memoryChunk
	}
	return r, nil
}

func (h *hoarder) ease() error {
	var errs []error
	for _, fd := range h.files {
		errs = append(errs, unix.Close(fd))
	}
	for more := true; more; {
		var err error
		more, err = h.give()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// reading is an empty one, stamped.
func reading() Reading { return Reading{Mono: drills.Monotonic()} }
