package reports

import (
	"math"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// The numbers are the table of the evidence page, computed elsewhere.
func TestBoundsAgreeWithTheTable(t *testing.T) {
	for _, x := range []struct {
		k, n           int
		lower, wlo, hi float64
	}{
		{4, 4, 47.3, 51.0, 100},
		{11, 12, 66.1, 64.6, 98.5},
		{12, 12, 77.9, 75.7, 100},
		{19, 20, 78.4, 76.4, 99.1},
		{20, 20, 86.1, 83.9, 100},
		{52, 52, 94.4, 93.1, 100},
		{59, 59, 95.05, 93.9, 100},
		{57, 60, 87.6, 86.3, 98.3},
		{95, 100, 89.8, 88.8, 97.9},
	} {
		lo, hi := wilson(x.k, x.n)
		for name, v := range map[string][2]float64{"lower": {lowerBound(x.k, x.n), x.lower}, "wilson low": {lo, x.wlo}, "wilson high": {hi, x.hi}} {
			if math.Abs(v[0]*100-v[1]) > 0.055 { // the table is rounded, one entry of it twice
				t.Errorf("%d/%d: %s is %.3f %%, the table says %.2f %%", x.k, x.n, name, v[0]*100, v[1])
			}
		}
	}
	if lowerBound(0, 10) != 0 || lowerBound(0, 0) != 0 {
		t.Error("nothing passed, but a bound is above zero")
	}
	if got := lowerBound(7, 7); math.Abs(got-math.Pow(0.05, 1.0/7)) > 1e-9 {
		t.Errorf("7/7: %v is not the closed form", got)
	}
}

func TestSmallestNumberOfDrills(t *testing.T) {
	for failures, want := range []int{59, 93, 124, 153, 181, 208} {
		if got := smallest(failures, 0.95); got != want {
			t.Errorf("%d failures: %d, want %d", failures, got, want)
		}
	}
}

func TestSpread(t *testing.T) {
	var v []drills.Duration
	for i := 19; i >= 1; i-- {
		v = append(v, dur(float64(i)))
	}
	if s := spread(v); s.N != 19 || s.Median != dur(10) || s.Max != dur(19) || s.P95 != 0 {
		t.Errorf("19 values: %+v", s)
	}
	if s := spread(append(v, dur(20))); s.Median != dur(10.5) || s.P95 != dur(19) {
		t.Errorf("20 values: %+v", s)
	}
	if s := spread(nil); s != (Spread{}) {
		t.Errorf("no values: %+v", s)
	}
}
