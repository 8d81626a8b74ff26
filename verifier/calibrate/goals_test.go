package calibrate

import (
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// TestJudge: a figure beyond its goal is missed, one within it is met only if there is enough of it.
func TestJudge(t *testing.T) {
	t.Parallel()
	ms := func(n float64) drills.Duration { return drills.Duration(n * float64(time.Millisecond)) }
	row := func(f Fault, every, burst, p50, p99 float64) Result {
		return Result{Fault: f, Every: ms(every), Burst: ms(burst), Outages: 300, Held: 297, P50: ms(p50), P99: ms(p99), Realtime: true}
	}
	but := func(r Result, change func(*Result)) Result { change(&r); return r }
	results := func(rs ...Result) Calibration { return Calibration{Results: rs} }
	nulls := func(length time.Duration, r NullResult) Calibration {
		r.Every, r.Recoveries = ms(50), r.Counted()
		return Calibration{Nulls: &NullCalibration{Length: drills.Duration(length), Results: []NullResult{r}}}
	}
	cost := func(every float64, probes int, used time.Duration, answered int) Calibration {
		return Calibration{Cost: &CostCalibration{Results: []Cost{{Kind: "http", Every: ms(every), Probes: probes, Lived: drills.Duration(10 * time.Second), User: drills.Duration(used), Answered: answered}}}}
	}
	for _, tt := range []struct {
		name string
		of   Calibration
		want []Verdict
	}{
		{"nothing measured", Calibration{}, nil},
		{"held, and precise at 50/s", results(row(Refuse, 20, 0, 7, 20)), []Verdict{Met, Met}},
		{"at 20/s no error is promised", results(row(Refuse, 50, 0, 14, 46)), []Verdict{Met}},
		{"held in 98.7 %", results(but(row(Refuse, 50, 0, 14, 46), func(r *Result) { r.Held = 296 })), []Verdict{Missed}},
		{"one missed", results(but(row(Refuse, 50, 0, 14, 46), func(r *Result) { r.Missed = 1 })), []Verdict{Missed}},
		{"one invented", results(but(row(Refuse, 50, 0, 14, 46), func(r *Result) { r.Invented = 1 })), []Verdict{Missed}},
		{"too few", results(but(row(Slow, 20, 0, 6, 18), func(r *Result) { r.Outages, r.Held = 299, 299 })), []Verdict{Short, Short}},
		{"too few, and bad", results(but(row(Slow, 20, 0, 8, 18), func(r *Result) { r.Outages, r.Held = 10, 9 })), []Verdict{Missed, Missed}},
		{"p50 beyond", results(row(Flap, 20, 0, 7.1, 17)), []Verdict{Met, Missed}},
		{"p99 beyond", results(row(Flap, 20, 0, 6, 20.1)), []Verdict{Met, Missed}},
		{"blackhole has its own", results(row(Blackhole, 20, 0, 9, 24)), []Verdict{Met, Met}},
		{"freeze beyond its own", results(row(Freeze, 20, 0, 9, 26)), []Verdict{Met, Missed}},
		{"burst", results(row(Refuse, 50, 2, 0.6, 2.9)), []Verdict{Met, Met}},
		{"burst beyond", results(row(Refuse, 50, 2, 0.6, 3.1)), []Verdict{Met, Missed}},
		{"burst beyond, without FIFO", results(but(row(Refuse, 50, 2, 0.6, 3.1), func(r *Result) { r.Realtime = false })), []Verdict{Met, Short}},
		{"burst on another fault", results(row(Freeze, 50, 2, 8, 20)), []Verdict{Met}},
		{"losses exact", Calibration{Losses: &LossCalibration{Results: []LossResult{{Times: 5, Exact: 5, Points: 4, PointHeld: 4}}}}, []Verdict{Met}},
		{"one count wrong", Calibration{Losses: &LossCalibration{Results: []LossResult{{Times: 5, Exact: 4, Points: 4, PointHeld: 4}}}}, []Verdict{Missed}},
		{"one point not held", Calibration{Losses: &LossCalibration{Results: []LossResult{{Times: 5, Exact: 5, Points: 4, PointHeld: 3}}}}, []Verdict{Missed}},
		{"no loss counted", Calibration{Losses: &LossCalibration{Results: []LossResult{{}}}}, []Verdict{Short}},
		{"no false alarm", nulls(time.Minute, NullResult{Drills: 1010, Disturbed: 10}), []Verdict{Met}},
		{"one false alarm", nulls(time.Minute, NullResult{Drills: 1010, Disturbed: 10, Alarms: 1}), []Verdict{Missed}},
		{"too many disturbed", nulls(time.Minute, NullResult{Drills: 1009, Disturbed: 10}), []Verdict{Short}},
		{"too short", nulls(59*time.Second, NullResult{Drills: 1010}), []Verdict{Short}},
		{"cheap", cost(50, 10, 999*time.Millisecond, 1990), []Verdict{Met}},
		{"dear", cost(50, 10, time.Second, 1990), []Verdict{Missed}},
		{"cheap, since half was not sent", cost(50, 10, 400*time.Millisecond, 1000), []Verdict{Short}},
		{"promised of ten at 20/s", cost(20, 10, time.Second, 4990), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []Verdict
			for _, g := range Judge(tt.of) {
				if got = append(got, g.Verdict); g.Of == "" || g.Goal == "" || g.Figure == "" || (g.Verdict == Short) != (g.Why != "") {
					t.Errorf("incomplete: %+v", g)
				}
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			}
		})
	}
}

// TestCostTargets: every kind's server answers its probes, and a prober that the kernel has no account of costs nothing known.
func TestCostTargets(t *testing.T) {
	t.Parallel()
	for _, kind := range CostKinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c, err := oneCost(t.Context(), CostConfig{Launcher: goroutines{}, Probes: 2, Length: time.Second}, kind, 50*time.Millisecond)
			if c.Sent == 0 || c.Answered == 0 {
				t.Errorf("%d sent, %d answered: %v", c.Sent, c.Answered, err)
			}
			if err == nil {
				t.Error("a prober in this process was accounted for")
			}
		})
	}
	if _, closeAll, err := costTargets("carrier pigeon", 1, time.Second); err == nil {
		closeAll()
		t.Error("no error for an unknown kind")
	}
}
