package calibrate

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier"
)

// TestNullDrills: the prober of drills against a server that fails one request in fifty by itself. Nothing is invented, the seed
// alone decides what fails, and what the host disturbed is said and not counted.
func TestNullDrills(t *testing.T) {
	t.Parallel()
	var told []NullBatch
	cfg := NullConfig{
		Launcher: goroutines{}, Drills: 3, Length: 6 * time.Second, Settle: 2 * time.Second, For: time.Second, Seed: 4,
		Every: []time.Duration{50 * time.Millisecond}, Errors: []float64{0, 0.02}, Progress: func(b NullBatch) { told = append(told, b) },
	}
	n, err := RunNulls(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Results) != 2 || len(told) == 0 || told[0].Drills != 6 || told[0].Sent == 0 || n.CPU <= 0 || n.Took.D() < 8*time.Second {
		t.Fatalf("%+v, told %+v", n, told)
	}
	for i, r := range n.Results {
		t.Logf("%+v", r)
		if r.Errors != cfg.Errors[i] || r.Drills < cfg.Drills || r.Alarms != 0 || r.Counted()+r.Disturbed != r.Drills || (r.Counted() == 0) != (r.Upper == 1) {
			t.Errorf("%+v", r)
		}
		if r.Disturbed == 0 && (r.Recoveries != r.Counted() || (r.Failed == 0) != (r.Errors == 0)) {
			t.Errorf("%d of %d recoveries were judged, %d probes failed", r.Recoveries, r.Counted(), r.Failed)
		}
	}
}

// TestTheCoinIsTheSeeds: the same seed and drill fail the same statements.
func TestTheCoinIsTheSeeds(t *testing.T) {
	t.Parallel()
	toss := func(seed, drill uint64) (out string) {
		for u := newNoisyUser(0.3, seed, drill); u.asked < 100; {
			out += fmt.Sprintf("%t ", u.fails())
		}
		return out
	}
	if toss(1, 2) != toss(1, 2) || toss(1, 2) == toss(1, 3) || toss(1, 2) == toss(2, 2) {
		t.Error("the coin is not the seed's")
	}
	if u := newNoisyUser(1, 1, 1); !u.fails() || u.made() != 1 || newNoisyUser(0, 1, 1).fails() {
		t.Error("always is not always, or never is not never")
	}
}

// TestNullJudge: what is a false alarm, what is the host's doing, and what is neither.
func TestNullJudge(t *testing.T) {
	t.Parallel()
	const hz, settle, length = 20, 10, 60
	failed := func(at ...int) func(i int, s *verifier.Sample) {
		return func(i int, s *verifier.Sample) {
			for _, a := range at {
				if i == settle*hz+a {
					s.Class = verifier.Failed
				}
			}
		}
	}
	for _, tt := range []struct {
		name string
		made int // failures of the server's making
		with func(i int, s *verifier.Sample)
		want NullResult
	}{
		{"nothing at all", 0, failed(), NullResult{Recoveries: 1}},
		{"some failures", 3, failed(100, 400, 900), NullResult{Recoveries: 1}},
		{"failures in a row that the server made", 6, failed(900, 901, 902, 903, 904, 905), NullResult{Alarms: 1, Invented: 1, Recoveries: 1}},
		{"errors that never end, too few for an outage", 29, func(i int, s *verifier.Sample) {
			if i > settle*hz && i%40 == 0 {
				s.Class = verifier.Failed
			}
		}, NullResult{Alarms: 1, NotRecovered: 1, Recoveries: 1}},
		{"a failure that the server did not make", 0, failed(100), NullResult{Disturbed: 1}},
		{"an outage of timeouts", 0, func(i int, s *verifier.Sample) {
			if i > 900 && i < 920 {
				s.Class, s.Done = verifier.Timeout, s.Send+250e6
			}
		}, NullResult{Disturbed: 1}},
		{"one slow answer", 0, func(i int, s *verifier.Sample) {
			if i == 700 {
				s.Done = s.Send + 101e6
			}
		}, NullResult{Disturbed: 1}},
		{"a prober put aside", 0, func(i int, s *verifier.Sample) {
			if i > 700 {
				s.Send, s.Done = s.Send+151e6, s.Done+151e6
			}
		}, NullResult{Disturbed: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			clock := drills.NewClock()
			meta := verifier.ProbeMeta{
				Schema: verifier.ProbeSchema, Name: "drill", Every: drills.Duration(time.Second / hz), Timeout: drills.Duration(timeout),
				Settle: drills.Duration(10 * time.Second), Mono: clock.Mono, Wall: clock.Wall,
			}
			var samples []verifier.Sample
			for i := range (settle + length) * hz {
				at := clock.Mono + int64(i)*int64(time.Second/hz)
				s := verifier.Sample{Seq: int64(i), Due: at, Send: at, Done: at + 1e6}
				tt.with(i, &s)
				samples = append(samples, s)
			}
			j := judging{
				files: &rawFiles{files: map[string]*bytes.Buffer{"raw": written(t, meta, samples)}}, live: map[string]bool{}, made: noisyMade{"drill": tt.made},
				steady: drills.Interval{From: clock.Wall, To: clock.Wall.Add(settle * time.Second)},
			}
			m := verifier.MeasureSamples(meta, samples, j.steady)
			m.Raw = "raw"
			r := NullResult{}
			d := &nullDrill{number: 1, result: &r}
			if _, err := d.judge(NullConfig{Length: length * time.Second, Seed: 1}, &m, j); err != nil {
				t.Fatal(err)
			}
			got := NullResult{Disturbed: r.Disturbed, Alarms: r.Alarms, Invented: r.Invented, Recoveries: r.Recoveries, Missed: r.Missed, NotRecovered: r.NotRecovered, Late: r.Late}
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", tt.want) || r.Drills != 1 || (len(r.What) > 0) != (tt.want.Alarms > 0) || (len(r.Trouble) > 0) != (tt.want.Disturbed > 0) {
				t.Errorf("got %+v\nwant %+v", r, tt.want)
			}
		})
	}
}

// written is a raw file.
func written(t *testing.T, meta verifier.ProbeMeta, samples []verifier.Sample) *bytes.Buffer {
	t.Helper()
	head, err := json.Marshal(meta)
	if err != nil {
		t.Fatal(err)
	}
	b := &bytes.Buffer{}
	fmt.Fprintf(b, "# %s\n", head)
	w := csv.NewWriter(b)
	w.Write(strings.Split("seq,due_ns,send_ns,done_ns,class,text,origin", ","))
	for _, s := range samples {
		w.Write([]string{fmt.Sprint(s.Seq), fmt.Sprint(s.Due), fmt.Sprint(s.Send), fmt.Sprint(s.Done), s.Class.String(), s.Text, s.Origin.String()})
	}
	w.Flush()
	return b
}

// TestNullsTake: four thousand drills at twenty a second fit into five batches of eight hundred.
func TestNullsTake(t *testing.T) {
	t.Parallel()
	cfg := NullConfig{Drills: 1000, Length: time.Minute, Settle: 10 * time.Second, Every: []time.Duration{50 * time.Millisecond, 20 * time.Millisecond}, Errors: []float64{0, 0.001, 0.005, 0.01}}
	if n, d := NullsTake(cfg); n != 5+13 || d != 18*74*time.Second || cfg.most(50*time.Millisecond) != 800 || cfg.most(20*time.Millisecond) != 308 {
		t.Errorf("%d batches, %s, %d and %d at the same time", n, d, cfg.most(50*time.Millisecond), cfg.most(20*time.Millisecond))
	}
	cfg.Parallel = 1000
	if n, _ := NullsTake(cfg); n != 8 {
		t.Errorf("%d batches of 1000", n)
	}
}

// dying is a launcher whose probers end by themselves while more than so many drills run at the same time.
type dying struct {
	goroutines
	most int
}

func (d dying) Start(ctx context.Context, p drills.Place, argv []string) (drills.Stream, error) {
	s, err := d.goroutines.Start(ctx, p, argv)
	return &mortal{s, d.most}, err
}

type mortal struct {
	drills.Stream
	most int
}

func (m *mortal) Send(f drills.Frame) error {
	var spec struct {
		Probes []struct{} `json:"probes"`
	}
	_ = json.Unmarshal(f.Data, &spec)
	if len(spec.Probes) > m.most {
		return errors.New("ended by the kernel")
	}
	return m.Stream.Send(f)
}

// TestTooManyNullDrills: a batch whose prober dies is run again, half as many at the same time, and not counted before that.
func TestTooManyNullDrills(t *testing.T) {
	t.Parallel()
	var told []NullBatch
	cfg := NullConfig{
		Launcher: dying{most: 15}, Drills: 30, Length: 2 * time.Second, Settle: time.Second, For: time.Second, Seed: 1,
		Every: []time.Duration{200 * time.Millisecond}, Errors: []float64{0}, Progress: func(b NullBatch) { told = append(told, b) },
	}
	n, err := RunNulls(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "ended by the kernel") { // twenty are the least
		t.Fatalf("%v, %+v", err, told)
	}
	if len(told) != 1 || told[0].Broken == "" || told[0].Left != 30 || n.Results[0].Drills != 0 {
		t.Errorf("%+v, %+v", told, n.Results)
	}
	cfg.Launcher, told = dying{most: 25}, nil
	if n, err = RunNulls(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if told[0].Broken == "" || told[1].Drills != 20 || n.Results[0].Drills < 30 {
		t.Errorf("%+v, %+v", told, n.Results)
	}
}
