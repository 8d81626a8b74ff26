package helper

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// CPU asks for CPU time to be used up. With a limit the whole group, the target included, is brought to Load of it; without
// one, each worker is busy for Load of the time.
type CPU struct {
	Workers int     `json:"workers"`
	Load    float64 `json:"load"`            // 0..1
	Cores   float64 `json:"cores,omitempty"` // the group's limit, in CPUs; 0: none
}

const (
	// burnPeriod is one turn of work and rest of a worker.
	burnPeriod = 20 * time.Millisecond
	// rateWindow is over how long the CPUs in use are counted.
	rateWindow = time.Second
	// provenShare of what was asked for counts as reached: on a busy host workers get less than they want, and what they
	// got is in the record.
	provenShare = 0.5
)

// burner uses up CPU time.
type burner struct {
	spec   CPU
	group  group
	duty   atomic.Uint64 // share of the time that a worker is busy, as float64 bits
	spun   atomic.Int64
	mu     sync.Mutex
	points []burnPoint // of about the last second
	start  burnPoint
}

// burnPoint is one look at the counters.
type burnPoint struct {
	at                   time.Time
	used, throttled, own time.Duration
}

func newBurner(spec CPU, g group) (*burner, error) {
	switch {
	case spec.Workers < 1 || spec.Workers > 1024:
		return nil, fmt.Errorf("spec: cpu: %d workers, want 1 to 1024", spec.Workers)
	case spec.Load <= 0 || spec.Load > 1:
		return nil, fmt.Errorf("spec: cpu: load %v is not within (0, 1]", spec.Load)
	case spec.Cores < 0:
		return nil, errors.New("spec: cpu: cores is below zero")
	case spec.Cores == 0 && spec.Workers >= runtime.NumCPU():
		return nil, fmt.Errorf("the target has no CPU limit and the host %d CPUs: %d workers would take all of the host; use fewer, or give the target a limit", runtime.NumCPU(), spec.Workers)
	}
	b := &burner{spec: spec, group: g}
	b.duty.Store(math.Float64bits(spec.Load))
	p, err := b.look()
	b.start, b.points = p, []burnPoint{p}
	return b, err
}

func (b *burner) look() (burnPoint, error) {
	var own unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &own); err != nil {
		return burnPoint{}, err
	}
	used, throttled, err := b.group.cpu()
	return burnPoint{at: time.Now(), used: used, throttled: throttled, own: time.Duration(own.Utime.Nano() + own.Stime.Nano())}, err
}

// work keeps the workers busy and, where the group has a limit, at the load that was asked for.
func (b *burner) work(ctx context.Context) error {
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), b.spec.Workers+2)) // workers must not keep the lease from being watched
	var workers sync.WaitGroup
	defer workers.Wait()
	for range b.spec.Workers {
		workers.Go(func() { b.burn(ctx) })
	}
	if b.spec.Cores == 0 || b.spec.Load == 1 {
		return nil
	}
	t := time.NewTicker(beatEvery)
	defer t.Stop()
	last, err := b.look()
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		now, err := b.look()
		if err != nil {
			continue
		}
		have := float64(now.used-last.used) / float64(now.at.Sub(last.at))
		last = now
		b.steer(b.want() - have)
	}
}

// steer moves the workers' share by half of what is missing, in CPUs.
func (b *burner) steer(missing float64) {
	d := math.Float64frombits(b.duty.Load()) + missing/2/float64(b.spec.Workers)
	b.duty.Store(math.Float64bits(min(1, max(0, d))))
}

// want is how many CPUs the group should use.
func (b *burner) want() float64 {
	if b.spec.Cores > 0 {
		return min(b.spec.Load*b.spec.Cores, float64(b.spec.Workers))
	}
	return b.spec.Load * float64(b.spec.Workers)
}

func (b *burner) burn(ctx context.Context) {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for ctx.Err() == nil {
		busy := time.Duration(math.Float64frombits(b.duty.Load()) * float64(burnPeriod))
		for began := time.Now(); time.Since(began) < busy; {
			b.spun.Store(spin())
		}
		if busy >= burnPeriod {
			continue
		}
		rest.Reset(burnPeriod - busy)
		select {
		case <-ctx.Done():
		case <-rest.C:
		}
	}
}

// spin is a little work. Its result is kept so that it is not left out as work that nobody wants.
func spin() (x int64) {
	for i := range 1000 {
		x ^= int64(i)
	}
	return x
}

// read says what the group uses. Reached needs our own time in the group's counter, and enough of it.
func (b *burner) read() (Reading, error) {
	now, err := b.look()
	if err != nil {
		return Reading{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.points = append(b.points, now)
	for len(b.points) > 2 && now.at.Sub(b.points[1].at) >= rateWindow {
		b.points = b.points[1:]
	}
	r := reading()
	r.Throttled = int64(now.throttled)
	past := b.points[0]
	if took := now.at.Sub(past.at); took >= beatEvery/2 { // less is noise
		r.Cores = float64(now.used-past.used) / float64(took)
	}
	own, seen := now.own-b.start.own, now.used-b.start.used
	counted := own > 0 && float64(seen) >= 0.9*float64(own) // else the workers are in somebody else's group
	enough := r.Cores >= provenShare*b.want() || now.throttled > b.start.throttled
	r.Reached = now.at.Sub(b.start.at) >= rateWindow && counted && enough
	return r, nil
}

func (b *burner) ease() error { return nil } // the workers ended with their context
