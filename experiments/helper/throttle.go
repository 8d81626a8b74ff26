package helper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// Throttle is what block devices may do for a control group, reads and writes each; zero: not limited.
type Throttle struct {
	Ops  int64 `json:"ops,omitempty"`  // operations a second
	Rate int64 `json:"rate,omitempty"` // bytes a second
}

// What a helper does to a throttle.
const (
	ThrottleOn   = "on"
	ThrottleOff  = "off"
	ThrottleLook = "look"
)

// ThrottleSpec asks for the block I/O of a control group (version 1), mounted at Group, to be throttled on the device that
// holds the directory Volume; or for that to be taken back, or looked for.
type ThrottleSpec struct {
	Kind   string   `json:"kind"`
	Act    string   `json:"act"`
	Group  string   `json:"group"`
	Volume string   `json:"volume"`
	Limit  Throttle `json:"limit"`
}

// Throttled is the data of the "ready" frame: the limits were moved in [From, To] (CLOCK_MONOTONIC, ns). There tells whether
// there were limits of the spec when they were looked at, Others whether there were others.
type Throttled struct {
	From   int64  `json:"from"`
	To     int64  `json:"to"`
	Device string `json:"device"`
	There  bool   `json:"there"`
	Others bool   `json:"others,omitempty"`
	Before *Speed `json:"before,omitempty"` // of direct writes to the volume, from inside the group
	After  *Speed `json:"after,omitempty"`
	Slowed bool   `json:"slowed,omitempty"` // After is what the limits let pass, and less than half of Before
}

const throttleFiles = "blkio.throttle."

// limits are the files of a throttle and what they are to say.
func (t Throttle) limits() map[string]int64 {
	out := map[string]int64{}
	for _, way := range []string{"read", "write"} {
		out[throttleFiles+way+"_iops_device"], out[throttleFiles+way+"_bps_device"] = t.Ops, t.Rate
	}
	return out
}

func throttle(p *drills.Pipe, s ThrottleSpec) error {
	if s.Limit.Ops <= 0 && s.Limit.Rate <= 0 || s.Limit.Ops < 0 || s.Limit.Rate < 0 {
		return errors.New("spec: throttle: ops or rate is required")
	}
	device, err := deviceUnder(s.Volume, "/sys/dev/block")
	if err != nil {
		return err
	}
	t := throttler{spec: s, out: Throttled{Device: device}}
	if err := t.look(); err != nil {
		return err
	}
	switch s.Act {
	case ThrottleOn:
		err = t.on()
	case ThrottleOff:
		err = t.off()
	case ThrottleLook:
	default:
		err = fmt.Errorf("spec: throttle: act %q is not one", s.Act)
	}
	if err != nil {
		return err
	}
	return p.Send("ready", t.out)
}

// deviceUnder is the whole disk, as major:minor, that holds a directory: the kernel takes no partition.
func deviceUnder(dir, devices string) (string, error) {
	var at unix.Stat_t
	if err := unix.Stat(dir, &at); err != nil {
		return "", err
	}
	if at.Mode&unix.S_IFMT != unix.S_IFDIR {
		return "", errors.New("the path is not a directory")
	}
	name := fmt.Sprintf("%d:%d", unix.Major(at.Dev), unix.Minor(at.Dev))
	entry, err := filepath.EvalSymlinks(filepath.Join(devices, name))
	if err != nil {
		return "", fmt.Errorf("not possible here because the volume is not on a block device of this host (device %s): memory, a network and a layered file system have none to throttle", name)
	}
	if _, err := os.Stat(filepath.Join(entry, "partition")); errors.Is(err, os.ErrNotExist) {
		return name, nil
	}
	disk, err := os.ReadFile(filepath.Join(filepath.Dir(entry), "dev"))
	return strings.TrimSpace(string(disk)), err
}

type throttler struct {
	spec  ThrottleSpec
	out   Throttled
	whole bool // every limit of ours is there
}

// look counts the files that have our limits for the device, and those that have others. A file that is not there means a
// kernel that cannot.
func (t *throttler) look() error {
	ours, others, want := 0, 0, 0
	for name, v := range t.spec.Limit.limits() {
		have, err := t.limit(name)
		if errors.Is(err, os.ErrNotExist) {
			return errors.New("not possible here because the kernel of this host throttles no block devices (CONFIG_BLK_DEV_THROTTLING)")
		}
		if err != nil {
			return err
		}
		if v != 0 {
			want++
		}
		switch have {
		case 0:
		case v:
			ours++
		default:
			others++
		}
	}
	t.out.There, t.out.Others, t.whole = ours > 0, others > 0, ours == want
	return nil
}

// limit reads one file's number for the device; 0 is none.
func (t *throttler) limit(name string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(t.spec.Group, name))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == t.out.Device {
			return strconv.ParseInt(f[1], 10, 64)
		}
	}
	return 0, nil
}

// set writes our limits; clear takes away those that are still ours, also after a set that was cut short.
func (t *throttler) set() error {
	return t.write(func(string) bool { return true }, func(want int64) int64 { return want })
}

func (t *throttler) clear() error {
	ours := func(name string) bool {
		have, err := t.limit(name)
		return err == nil && have == t.spec.Limit.limits()[name]
	}
	return t.write(ours, func(int64) int64 { return 0 })
}

func (t *throttler) write(which func(name string) bool, what func(want int64) int64) error {
	t.out.From = drills.Monotonic()
	var errs []error
	for name, want := range t.spec.Limit.limits() {
		if want != 0 && which(name) {
			errs = append(errs, os.WriteFile(filepath.Join(t.spec.Group, name), fmt.Appendf(nil, "%s %d", t.out.Device, what(want)), 0))
		}
	}
	t.out.To = drills.Monotonic()
	return errors.Join(errs...)
}

// on measures, throttles, and measures again, as a member of the group. A group that has limits of somebody else is refused:
// the undo could not tell what to leave.
func (t *throttler) on() error {
	if t.out.There || t.out.Others {
		return fmt.Errorf("somebody throttles device %s for this container already: nothing was done", t.out.Device)
	}
	// 0 is the writing process: in version 1 a child group's I/O is not counted to its parent.
	if err := os.WriteFile(filepath.Join(t.spec.Group, "cgroup.procs"), []byte("0"), 0); err != nil {
		return fmt.Errorf("join the target's block I/O group to measure: %w", err)
	}
	before, err := t.measure()
	if err != nil {
		return err
	}
	if err := t.set(); err != nil {
		return errors.Join(fmt.Errorf("throttle device %s: %w", t.out.Device, err), t.clear())
	}
	if err = t.look(); err == nil && !t.whole {
		err = errors.New("the kernel did not keep the limits")
	}
	var after Speed
	if err == nil {
		after, err = t.measure()
	}
	if err != nil {
		return errors.Join(err, t.clear())
	}
	t.out.Before, t.out.After, t.out.Slowed = &before, &after, t.spec.Limit.slowed(before, after)
	return nil
}

// off takes our limits away; those that are somebody else's by now stay.
func (t *throttler) off() error {
	had := t.out.There
	if !had {
		return nil
	}
	if err := t.clear(); err != nil {
		return err
	}
	if err := t.look(); err != nil {
		return err
	}
	if t.out.There {
		return errors.New("the limits are still there after they were taken away")
	}
	t.out.There = had // what was found
	return nil
}
