package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier"
)

// recountCheck counts a canary's writes again from its raw file and compares everything that the journal says of it.
func recountCheck(dir string, rec drills.Record, c drills.CanaryMeasured) drills.Check {
	var again drills.CanaryMeasured
	err := withRaw(dir, []string{c.Raw}, func(raws []io.Reader) (err error) {
		var t drills.Timing
		if rec.Times.T0 != nil {
			t.T0 = rec.Times.T0.Interval
		}
		again, err = verifier.MeasureCanary(raws[0], t)
		return err
	})
	again.Raw, again.Error = c.Raw, c.Error
	return agrees("counted again: "+c.Name, c, again, err)
}

// splitCheck asks the raw files of a component's canaries again who acknowledged what.
func splitCheck(dir string, rec drills.Record, s drills.SplitMeasured) drills.Check {
	var again drills.SplitMeasured
	var raws []string
	for _, name := range s.Canaries {
		if i := slices.IndexFunc(rec.Canaries, func(c drills.CanaryMeasured) bool { return c.Name == name }); i >= 0 {
			raws = append(raws, rec.Canaries[i].Raw)
		}
	}
	err := withRaw(dir, raws, func(raws []io.Reader) (err error) {
		again, err = verifier.MeasureSplit(s.Component, raws)
		return err
	})
	return agrees("acknowledged by whom: "+s.Component, s, again, err)
}

// registerCheck checks a register's history again. Where the time was over before, or is now, the verdicts may differ.
func registerCheck(dir string, r drills.RegisterMeasured) drills.Check {
	var again drills.RegisterMeasured
	err := withRaw(dir, []string{r.Raw}, func(raws []io.Reader) (err error) {
		again, err = verifier.MeasureRegister(raws[0])
		return err
	})
	again.Raw, again.Error, again.Picture, again.PictureSHA256 = r.Raw, r.Error, r.Picture, r.PictureSHA256
	if r.Verdict == drills.NotDecided || again.Verdict == drills.NotDecided {
		again.Verdict, again.Illegal, again.Unexplained = r.Verdict, r.Illegal, r.Unexplained
	}
	return agrees("history checked again: "+r.Name, r, again, err)
}

// agrees compares what was measured with what the raw samples give now, to the byte.
func agrees(name string, was, now any, err error) drills.Check {
	x := drills.Check{Name: name, Actual: "agrees"}
	a, err1 := json.Marshal(was)
	b, err2 := json.Marshal(now)
	if err := errors.Join(err, err1, err2); err != nil {
		x.Actual = err.Error()
		return x
	}
	if x.OK = bytes.Equal(a, b); !x.OK {
		x.Actual = "the raw samples say otherwise"
	}
	return x
}

// withRaw opens raw files of a run.
func withRaw(dir string, names []string, f func([]io.Reader) error) error {
	var open []io.Reader
	for _, name := range names {
		r, err := os.Open(filepath.Join(dir, "raw", filepath.Base(name)))
		if err != nil {
			return err
		}
		defer func() { _ = r.Close() }() // only read
		open = append(open, r)
	}
	return f(open)
}
