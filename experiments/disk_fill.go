package experiments

import (
	"path"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// DiskFill fills a file system of a member that has a size of its own.
type DiskFill struct {
	Path  string  `yaml:"path" json:"path"`   // a directory on it, as the member names it
	Share Percent `yaml:"share" json:"share"` // in use, the member's own files included
	UpTo  Size    `yaml:"up-to" json:"up-to"` // a larger file system is refused
}

func diskFillKind() drills.Kind {
	return resourceKind("disk-fill", verbDisk, "Fill a volume or tmpfs of a member that has a size of its own; never the host's disk",
		"the free space that the file system states",
		func() *DiskFill { return &DiskFill{Share: 1, UpTo: 10 << 30} })
}

// Validate checks the parameters.
func (f *DiskFill) Validate() error {
	switch {
	case !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path:
		return drills.Errorf(drills.Input, "for example `path: /data`", "disk-fill: path: %q is not a clean absolute path", f.Path)
	case f.Share <= 0:
		return drills.Errorf(drills.Input, "for example `share: 95%`", "disk-fill: share: must be above 0%%")
	}
	return nil
}

// Plan fills each target's file system.
func (f *DiskFill) Plan(s drills.Scene) ([]drills.Change, error) {
	return onResource(s, "disk-fill", verbDisk, func(drills.Member) (strainArgs, error) {
		return strainArgs{Disk: &helper.Disk{Path: f.Path, Share: float64(f.Share), Most: int64(f.UpTo)}}, nil
	})
}
