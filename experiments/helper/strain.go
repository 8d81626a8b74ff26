package helper

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// StrainSpec asks for pressure on one resource of the control group that this process is in, until the stream or the
// lease ends. Exactly one of the resources is given.
type StrainSpec struct {
	Kind   string          `json:"kind"`
	Op     string          `json:"op"`    // names the process, so that it can be found: see Comm
	Lease  drills.Duration `json:"lease"` // how long without a frame before undoing; required
	CPU    *CPU            `json:"cpu,omitempty"`
	Memory *Memory         `json:"memory,omitempty"`
	Disk   *Disk           `json:"disk,omitempty"`
}

// Reading is what the target's control group (or file system) says at one instant. Sizes are in bytes.
type Reading struct {
	Mono      int64   `json:"mono"`                   // CLOCK_MONOTONIC, ns
	Cores     float64 `json:"cores,omitempty"`        // CPUs used by the group, ours included, over about a second
	Throttled int64   `json:"throttled_ns,omitempty"` // how long its limit has held the group up, since it began
	Memory    int64   `json:"memory,omitempty"`       // working set: what the kernel cannot drop at once
	Limit     int64   `json:"limit,omitempty"`        // of memory; 0: none
	Held      int64   `json:"held,omitempty"`         // by us: memory or file
	Free      int64   `json:"free"`                   // of the file system, to ordinary users
	Size      int64   `json:"size,omitempty"`         // of the file system
	Reached   bool    `json:"reached"`                // the pressure that was asked for is there
}

// Pressed is the data of the "ready" frame of a strain: it began in [From, To] (CLOCK_MONOTONIC, ns), and is there once a
// beat says Reached.
type Pressed struct {
	From   int64   `json:"from"`
	To     int64   `json:"to"`
	Way    string  `json:"way"`
	Before Reading `json:"before"`
}

// Eased is the data of the "done" frame: why it ended and what was there afterwards.
type Eased struct {
	Reading
	Why  string `json:"why"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
}

// The ways in which a process of ours comes into a target's control group.
const (
	WayChild = "container in a child of the target's control group"
	WayExec  = "process started inside the target"
)

// strain is pressure on one resource.
type strain interface {
	read() (Reading, error)
	work(ctx context.Context) error // keeps the pressure up; returns with the context, or with why it cannot
	ease() error                    // once, after work has returned
}

// Comm is the name under which the process of a strain is found in /proc, at most 15 bytes.
func Comm(op string) string {
	sum := sha256.Sum256([]byte(op))
	return "sim" + hex.EncodeToString(sum[:6])
}

func (s StrainSpec) open(root string) (strain, error) {
	if err := mayRaise(s.Op, s.Lease); err != nil {
		return nil, err
	}
	asked := 0
	for _, x := range []bool{s.CPU != nil, s.Memory != nil, s.Disk != nil} {
		if x {
			asked++
		}
	}
	if asked != 1 {
		return nil, fmt.Errorf("spec: %d resources are asked for, want exactly one", asked)
	}
	g, err := openGroup(root)
	if err != nil {
		return nil, err
	}
	switch {
	case s.CPU != nil:
		return newBurner(*s.CPU, g)
	case s.Memory != nil:
		return newHoarder(*s.Memory, g)
	}
	return newDiskFiller(*s.Disk, root, g)
}

// press is the whole life of a strain.
func press(ctx context.Context, p *drills.Pipe, s StrainSpec) error {
	root, way := os.Getenv(drills.TargetRootVariable), WayExec
	if root != "" {
		way = WayChild
		if err := insideTarget("/proc"); err != nil {
			return err
		}
	} else if strings.HasPrefix(filepath.Base(os.Args[0]), drills.TargetCopyPrefix) {
		if err := os.Remove(os.Args[0]); err != nil { // it would stay in the target's file system
			return fmt.Errorf("remove our own file from the target: %w", err)
		}
	}
	if err := settleIn(s); err != nil {
		return err
	}
	st, err := s.open(root)
	if err != nil {
		return err
	}
	before, err := st.read()
	if err != nil {
		return errors.Join(err, st.ease())
	}
	return strained(ctx, p, s.Lease.D(), st, Pressed{Way: way, Before: before})
}

// settleIn gives the process its name and makes it the first that the kernel ends when memory is short.
func settleIn(s StrainSpec) error {
	if s.Memory == nil || !s.Memory.Beyond {
		if err := os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0); err != nil {
			return fmt.Errorf("offer ourselves to the kernel's memory killer: %w", err)
		}
	}
	if err := os.WriteFile("/proc/self/comm", []byte(Comm(s.Op)), 0); err != nil {
		return fmt.Errorf("name the process: %w", err)
	}
	return nil
}

// strained starts the work, tells about it, and ends it.
func strained(ctx context.Context, p *drills.Pipe, lease time.Duration, st strain, a Pressed) error {
	work, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	var all sync.WaitGroup
	a.From = drills.Monotonic()
	all.Go(func() {
		if err := st.work(work); err != nil {
			failed <- err
		}
	})
	a.To = drills.Monotonic()
	why := "cancelled"
	sent := p.Send("ready", a)
	if sent == nil {
		all.Go(func() { tellReadings(work, p, st) })
		ended := make(chan string, 1)
		all.Go(func() { ended <- p.Watch(work, lease, nil) })
		select {
		case why = <-ended:
		case sent = <-failed:
		}
	}
	d := Eased{Why: why, From: drills.Monotonic()}
	stop()
	all.Wait()
	err := st.ease()
	d.To = drills.Monotonic()
	if err := errors.Join(sent, err); err != nil {
		return err
	}
	d.Reading, err = st.read()
	return errors.Join(err, p.Send("done", d))
}

func tellReadings(ctx context.Context, p *drills.Pipe, st strain) {
	t := time.NewTicker(beatEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		r, err := st.read()
		if err != nil {
			continue // a missed reading is no reason to end; the next one tells
		}
		if p.Send("beat", r) != nil {
			return
		}
	}
}
