package helper

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Speed is what a short series of direct writes came to.
type Speed struct {
	Writes int     `json:"writes"`
	Block  int64   `json:"block"`   // bytes of each
	Took   float64 `json:"took_s"`  // in all
	Mean   int64   `json:"mean_us"` // of one
	Max    int64   `json:"max_us"`
}

// How much is written: until the time or the number is over. The kernel gives what a group has not used for a while at once,
// so the first writes do not count.
const (
	speedTime   = 1500 * time.Millisecond
	speedWrites = 200
	speedWarm   = 2
	speedBlocks = 16 // the file does not grow beyond so many
	speedUnit   = 4096
	// speedSlack is how much faster than its limit a short series may be: the kernel counts in slices of a tenth of a second.
	speedSlack = 1.3
)

// block is the size of one write: a tenth of a second's worth of the rate.
func (t Throttle) block() int64 {
	if t.Rate == 0 {
		return speedUnit
	}
	return min(1<<20, max(speedUnit, t.Rate/10/speedUnit*speedUnit))
}

// slowed tells whether the limit is seen at work.
func (t Throttle) slowed(before, after Speed) bool {
	if after.Writes == 0 || after.Mean < 2*before.Mean {
		return false
	}
	ops := float64(after.Writes) / after.Took
	return (t.Ops == 0 || ops <= speedSlack*float64(t.Ops)) && (t.Rate == 0 || ops*float64(after.Block) <= speedSlack*float64(t.Rate))
}

// measure writes to a file without a name, past the page cache: each write waits for the device.
func (t *throttler) measure() (Speed, error) {
	dir, err := unix.Open(t.spec.Volume, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Speed{}, err
	}
	defer unix.Close(dir)
	f, err := nameless(dir, "the volume")
	if err != nil {
		return Speed{}, err
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFL, unix.O_DIRECT); err != nil {
		return Speed{}, fmt.Errorf("the volume's file system takes no direct writes, so its speed cannot be measured: %w", err)
	}
	s := Speed{Block: t.spec.Limit.block()}
	block := onPages(int(s.Block))
	var began time.Time
	for i := range speedWarm + speedWrites {
		if i == speedWarm {
			began = time.Now()
		}
		at := time.Now()
		n, err := unix.Pwrite(int(f.Fd()), block, int64(i%speedBlocks)*s.Block)
		if err != nil || n < len(block) {
			return s, errors.Join(err, fmt.Errorf("write %d bytes to the volume: %d were written", len(block), n))
		}
		if i < speedWarm {
			continue
		}
		s.Writes++
		s.Max = max(s.Max, time.Since(at).Microseconds())
		if time.Since(began) > speedTime {
			break
		}
	}
	s.Took = time.Since(began).Seconds()
	s.Mean = int64(s.Took * 1e6 / float64(s.Writes))
	return s, nil
}

// onPages is a block that direct writes take.
func onPages(n int) []byte {
	b := make([]byte, n+speedUnit)
	off := (speedUnit - int(uintptr(unsafe.Pointer(&b[0]))%speedUnit)) % speedUnit
	return b[off : off+n]
}
