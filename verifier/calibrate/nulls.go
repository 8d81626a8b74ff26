package calibrate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

// NullConfig says which null drills to run: drills without a fault, in which every outage is an invention.
type NullConfig struct {
	Launcher drills.Launcher
	Log      *zap.Logger
	Drills   int             // per rate and error rate
	Length   time.Duration   // of a drill, after its settle window
	Settle   time.Duration   // the settle window, from which the baseline is
	For      time.Duration   // recovery.for
	Every    []time.Duration // periods of the probes
	Errors   []float64       // shares of statements that fail by themselves
	Parallel int             // drills at the same time; 0: as many as send NullProbes probes a second
	Seed     uint64
	Progress func(NullBatch) // told of every batch; may be nil
}

// NullProbes is how many probes a second all null drills of a batch may send together: about one core of an idle machine, all
// processes and the kernel counted.
const NullProbes = 16000

const (
	aroundBatch  = 4 * time.Second // beside settle window and length: start, stragglers, judgement
	nullsAtMost  = 5000            // at the same time: each is a connection with two ends here
	nullsAtLeast = 20              // at the same time, however slow the host
	nullUserName = "drill-%06d"
	// nullTries is how often a drill is run at most: what the host disturbed is run once more, whatever it showed.
	nullTries = 2
	// tooMany is the share of disturbed drills in a batch from which on fewer run at the same time.
	tooMany = 0.1
)

// NullCalibration is every null drill of a run of them, and what it took.
type NullCalibration struct {
	At      time.Time       `json:"at"`
	Length  drills.Duration `json:"length"`
	Settle  drills.Duration `json:"settle"`
	For     drills.Duration `json:"recovery_for"`
	Seed    uint64          `json:"seed"`
	Took    drills.Duration `json:"took"`
	CPU     drills.Duration `json:"cpu"` // of this process and its probers, user and system
	Results []NullResult    `json:"results"`
}

// NullBatch is what is told of a batch once it has been judged.
type NullBatch struct {
	Every     drills.Duration
	Drills    int // in this batch
	Disturbed int // of them
	Left      int // drills of this rate that are still to be run, or to be run again
	Alarms    int // in all, so far
	Late      drills.Duration
	Sent, Due int     // probes of this batch: sent, and what the schedule asked for
	CPU       float64 // cores that this batch used
	Broken    string  // why this batch has to be run again as a whole; else empty
}

// nullDrill is one drill to run. number decides its coin and its made outage.
type nullDrill struct {
	number uint64
	tries  int
	result *NullResult
}

// RunNulls runs null drills, many at the same time, one probe rate after the other and the error rates of a rate mixed.
func RunNulls(ctx context.Context, cfg NullConfig) (NullCalibration, error) {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	began, cpu := time.Now(), cpuTime()
	out := NullCalibration{
		At: began.UTC(), Length: drills.Duration(cfg.Length), Settle: drills.Duration(cfg.Settle), For: drills.Duration(cfg.For), Seed: cfg.Seed,
		Results: make([]NullResult, 0, len(cfg.Every)*len(cfg.Errors)),
	}
	for _, every := range cfg.Every {
		for _, e := range cfg.Errors {
			out.Results = append(out.Results, NullResult{Every: drills.Duration(every), Errors: e})
		}
	}
	alarms := 0
	for i, every := range cfg.Every {
		if err := cfg.rate(ctx, every, out.Results[i*len(cfg.Errors):(i+1)*len(cfg.Errors)], &alarms); err != nil {
			return out, fmt.Errorf("drills at %s: %w", Rate(drills.Duration(every)), err)
		}
	}
	for i := range out.Results {
		out.Results[i].close()
	}
	out.Took, out.CPU = drills.Duration(time.Since(began)), drills.Duration(cpuTime()-cpu)
	return out, nil
}

// NullsTake is how many batches there will be, and how long they will take, on a host that keeps up.
func NullsTake(cfg NullConfig) (batches int, length time.Duration) {
	for _, every := range cfg.Every {
		all, most := cfg.Drills*len(cfg.Errors), cfg.most(every)
		batches += (all + most - 1) / most
	}
	return batches, time.Duration(batches) * (cfg.Settle + cfg.Length + aroundBatch)
}

// most is how many drills of a rate run at the same time, in batches of about the same size.
func (cfg NullConfig) most(every time.Duration) int {
	all, most := cfg.Drills*len(cfg.Errors), cfg.Parallel
	if most <= 0 {
		most = int(NullProbes * every / time.Second)
	}
	most = min(max(most, 1), nullsAtMost)
	batches := (all + most - 1) / most
	return (all + batches - 1) / batches
}

// rate runs the drills of one rate, error rates mixed, in batches. Where the host does not keep up, fewer run at the same time,
// and those that it disturbed are run once more: whether one is does not depend on what it showed.
func (cfg NullConfig) rate(ctx context.Context, every time.Duration, results []NullResult, alarms *int) error {
	var queue []*nullDrill
	for i := range cfg.Drills * len(results) {
		queue = append(queue, &nullDrill{number: uint64(i), result: &results[i%len(results)]}) //nolint:gosec // not negative
	}
	for most := cfg.most(every); len(queue) > 0; {
		n := min(most, len(queue))
		b := newNullBatch(every, queue[:n])
		told := NullBatch{Every: drills.Duration(every), Drills: n}
		again, err := b.run(ctx, cfg, &told)
		if err != nil && (ctx.Err() != nil || n <= nullsAtLeast) {
			return err
		}
		if err != nil { // too many: see realtimeAtMost in package verifier
			told.Broken, again = err.Error(), queue[:n]
		}
		queue = append(slices.Clone(queue[n:]), again...)
		*alarms += told.Alarms
		told.Left, told.Alarms = len(queue), *alarms
		if cfg.Progress != nil {
			cfg.Progress(told)
		}
		if err != nil || float64(told.Disturbed) > tooMany*float64(n) {
			most = max(n/2, min(n, nullsAtLeast))
		}
	}
	return nil
}
