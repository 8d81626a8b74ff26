package experiments

import (
	"path"

	"github.com/eevans-d/simulacro/drills"
)

// DiskLatency makes a member wait for the disk below one of its volumes.
type DiskLatency struct {
	Path string `yaml:"path" json:"path"`           // a directory on the volume, as the member names it
	Ops  int64  `yaml:"ops" json:"ops,omitempty"`   // a second, reads and writes each
	Rate Size   `yaml:"rate" json:"rate,omitempty"` // a second, reads and writes each
}

// blockThrottle is what a device may do for a member, reads and writes each.
type blockThrottle struct {
	Ops  int64 `json:"ops,omitempty"`  // operations a second
	Rate int64 `json:"rate,omitempty"` // bytes a second
}

type throttleArgs struct {
	Throttle blockThrottle `json:"throttle"`
	Path     string        `json:"path"`
}

// The bounds of a throttle: below the lower ones not even the proof comes to an end, above the upper ones it is none.
const (
	leastOps, mostOps = 2, 100_000
	leastRate         = 16 << 10
)

func diskLatencyKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "disk-latency",
		Summary:  "Make a member wait for the disk below one of its volumes, by the limits of its control group; only with cgroup version 1",
		Class:    drills.ClassUndo,
		Verbs:    []string{"unit.throttle", "unit.unthrottle"},
		Duration: "required",
		Proof:    "direct writes to the volume from inside the member's group, before and under the limits",
		Undo:     "the limits are taken away, unless somebody has set other ones since",
	}, func() *DiskLatency { return new(DiskLatency) })
}

// Validate checks the parameters.
func (f *DiskLatency) Validate() error {
	const kind = complaint("disk-latency")
	switch {
	case !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path:
		return drills.Errorf(drills.Input, "for example `path: /data`", "disk-latency: path: %q is not a clean absolute path", f.Path)
	case f.Ops == 0 && f.Rate == 0:
		return drills.Errorf(drills.Input, "for example `ops: 20`: one operation after the other then takes 50 ms each", "disk-latency: ops or rate is needed")
	case f.Ops != 0 && (f.Ops < leastOps || f.Ops > mostOps):
		return kind.bad("ops: must be between %d and %d a second, found %d", leastOps, mostOps, f.Ops)
	case f.Rate != 0 && f.Rate < leastRate:
		return kind.bad("rate: must be at least %d KiB a second", leastRate>>10)
	}
	return nil
}

// Plan throttles each target.
func (f *DiskLatency) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "disk-latency stays in force"); err != nil {
		return nil, err
	}
	a := throttleArgs{Throttle: blockThrottle{Ops: f.Ops, Rate: int64(f.Rate)}, Path: f.Path}
	return each(s, plan{class: drills.ClassUndo, do: "unit.throttle", undo: "unit.unthrottle", doArgs: a, undoArgs: func(drills.Member) any { return a }})
}
