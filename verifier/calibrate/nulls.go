package calibrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier"
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

// NullProbes is how many probes a second all null drills of a batch may send together: about one core, all processes and the
// kernel counted.
const NullProbes = 20000

const (
	aroundBatch  = 4 * time.Second // beside settle window and length: start, stragglers, judgement
	nullsAtMost  = 5000            // at the same time: each is a connection with two ends here
	nullUserName = "drill-%06d"
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
	Number, Of int
	Every      drills.Duration
	Drills     int // in this batch
	Alarms     int // so far, as all that follow
	Disturbed  int
	Late       drills.Duration // p99 of this batch's worst prober
	Asked, Due int             // probes of this batch: sent, and what the schedule asked for
	CPU        float64         // cores that this batch used
}

// nullDrill is one drill to run. number decides its coin and its made outage.
type nullDrill struct {
	number uint64
	user   *noisyUser
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
	batches := planNulls(cfg, &out)
	var told NullBatch
	for i, b := range batches {
		told.Number, told.Of = i+1, len(batches)
		if err := b.run(ctx, cfg, &told); err != nil {
			return out, fmt.Errorf("batch %d of %d: %w", i+1, len(batches), err)
		}
		if cfg.Progress != nil {
			cfg.Progress(told)
		}
	}
	for i := range out.Results {
		out.Results[i].close()
	}
	out.Took, out.CPU = drills.Duration(time.Since(began)), drills.Duration(cpuTime()-cpu)
	return out, nil
}

// NullsTake is how many batches there will be, and how long they will take.
func NullsTake(cfg NullConfig) (batches int, length time.Duration) {
	for _, every := range cfg.Every {
		n, _ := cfg.split(every)
		batches += n
	}
	return batches, time.Duration(batches) * (cfg.Settle + cfg.Length + aroundBatch)
}

// split is how many batches the drills of a rate make, and how many are in the largest.
func (cfg NullConfig) split(every time.Duration) (batches, size int) {
	all, most := cfg.Drills*len(cfg.Errors), cfg.Parallel
	if most <= 0 {
		most = int(NullProbes * every / time.Second)
	}
	most = min(max(most, 1), nullsAtMost)
	batches = (all + most - 1) / most
	return batches, (all + batches - 1) / batches
}

// nullBatch is what runs at the same time.
type nullBatch struct {
	every  time.Duration
	drills map[string]*nullDrill
}

// planNulls makes the results, still empty, and the batches that fill them.
func planNulls(cfg NullConfig, out *NullCalibration) []nullBatch {
	var batches []nullBatch
	var number uint64
	for _, every := range cfg.Every {
		first := len(out.Results)
		for _, e := range cfg.Errors {
			out.Results = append(out.Results, NullResult{Every: drills.Duration(every), Errors: e})
		}
		n, size := cfg.split(every)
		rest := cfg.Drills * len(cfg.Errors)
		for range n {
			b := nullBatch{every: every, drills: map[string]*nullDrill{}}
			for range min(size, rest) {
				r := &out.Results[first+int(number)%len(cfg.Errors)] //nolint:gosec // some thousands
				b.drills[fmt.Sprintf(nullUserName, number)] = &nullDrill{number: number, user: newNoisyUser(r.Errors, cfg.Seed, number), result: r}
				number++
			}
			rest -= len(b.drills)
			batches = append(batches, b)
		}
	}
	return batches
}

// run drills a batch as the engine does: settle window, baseline, the drill itself, and then the judgement of what was measured.
func (b nullBatch) run(ctx context.Context, cfg NullConfig, told *NullBatch) error {
	began, cpu := time.Now(), cpuTime()
	users := map[string]*noisyUser{}
	for name, d := range b.drills {
		users[name] = d.user
	}
	server, err := startNoisyServer(users)
	if err != nil {
		return err
	}
	defer server.close()
	files, live := &rawFiles{files: map[string]*bytes.Buffer{}}, &liveEdges{seen: map[string]bool{}}
	probes := verifier.NewProbes(verifier.ProbesConfig{
		Specs: b.specs(server), Launcher: cfg.Launcher, Samples: files, Run: "calibrate", Log: cfg.Log,
		Recovery: drills.Recovery{For: drills.Duration(cfg.For)},
	})
	if err := probes.Start(ctx, live.emit); err != nil {
		return err
	}
	steady, err := b.live(ctx, cfg, probes, live)
	events, ferr := probes.Finish(context.WithoutCancel(ctx), drills.Timing{Steady: steady})
	if err := errors.Join(err, ferr, context.Cause(ctx)); err != nil {
		return err
	}
	used := (cpuTime() - cpu).Seconds() / time.Since(began).Seconds()
	return b.judge(cfg, told, judging{events: events, files: files, live: live.seen, steady: steady, cores: used})
}

func (b nullBatch) specs(s *noisyServer) map[string]drills.ProbeSpec {
	out := map[string]drills.ProbeSpec{}
	for name := range b.drills {
		out[name] = drills.ProbeSpec{
			Kind: "postgres", From: drills.From{Host: true}, DSN: s.dsn(name), Every: drills.Duration(b.every), Timeout: drills.Duration(timeout),
		}
	}
	return out
}

// live is the time of the drill itself. It returns the settle window.
func (b nullBatch) live(ctx context.Context, cfg NullConfig, probes *verifier.Probes, live *liveEdges) (drills.Interval, error) {
	steady := drills.Interval{From: time.Now()}
	if !drills.Wait(ctx, cfg.Settle) {
		return steady, context.Cause(ctx)
	}
	steady.To = time.Now()
	if _, err := probes.Baseline(ctx, steady); err != nil {
		return steady, err
	}
	live.count()
	if !drills.Wait(ctx, time.Until(steady.To.Add(cfg.Length))) {
		return steady, context.Cause(ctx)
	}
	return steady, nil
}

// liveEdges are the probes that were called bad while the drill went on, after the baseline was known.
type liveEdges struct {
	mu    sync.Mutex
	after bool
	seen  map[string]bool
}

func (l *liveEdges) count() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.after = true
}

func (l *liveEdges) emit(e drills.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.after && e.Edge != nil && !e.Edge.Good {
		l.seen[e.Edge.Probe] = true
	}
}

// rawFiles keeps the raw files of a batch in memory: they are judged a second time, with an outage made in them.
type rawFiles struct {
	mu    sync.Mutex
	files map[string]*bytes.Buffer
}

func (r *rawFiles) Create(name string) (io.WriteCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &bytes.Buffer{}
	r.files[name] = b
	return discard{b}, nil
}

func (r *rawFiles) Digest(string) (string, error) { return "", nil }

// take gives a file away.
func (r *rawFiles) take(name string) io.Reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.files[name]
	delete(r.files, name)
	if b == nil {
		return bytes.NewReader(nil)
	}
	return b
}

// judge adds a batch to its results.
func (b nullBatch) judge(cfg NullConfig, told *NullBatch, j judging) error {
	told.Every, told.Drills, told.Late, told.Asked, told.CPU = drills.Duration(b.every), len(b.drills), 0, 0, j.cores
	told.Due = int((cfg.Settle+cfg.Length)/b.every) * len(b.drills)
	broken := map[string]int{}
	for _, e := range j.events {
		if e.Probe == nil || b.drills[e.Probe.Name] == nil {
			continue
		}
		d, err := b.drills[e.Probe.Name].judge(cfg, e.Probe, j)
		if err != nil {
			return err
		}
		if e.Probe.Error != "" {
			broken[e.Probe.Error]++
		}
		told.Late, told.Asked = max(told.Late, e.Probe.Late), told.Asked+e.Probe.Count.Good+e.Probe.Count.Bad()+e.Probe.Count.Ours()
		count(&told.Disturbed, d.disturbed != "")
		count(&told.Alarms, d.disturbed == "" && d.alarm() != "")
	}
	for why, n := range broken {
		if n == len(b.drills) {
			return drills.Errorf(drills.Internal, "fewer at the same time: --parallel", "none of the %d drills was measured: %s", n, why)
		}
	}
	told.Due = max(told.Due, 1)
	return nil
}

var _ drills.Samples = (*rawFiles)(nil)
