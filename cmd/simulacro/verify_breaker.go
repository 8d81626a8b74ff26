package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier"
)

// breakerCheck measures a breaker again from the raw readings, or infers it again from the probe's samples.
func breakerCheck(dir string, sys *drills.System, b drills.BreakerMeasured) drills.Check {
	x := drills.Check{Name: fmt.Sprintf("measured again: breaker %s of %s", b.Name, b.Instance), Actual: "agrees"}
	again, err := breakerAgain(dir, sys, b)
	if err != nil {
		x.Actual = err.Error()
		return x
	}
	again.Raw, again.Error = b.Raw, b.Error
	was, err1 := json.Marshal(b)
	now, err2 := json.Marshal(again)
	if x.OK = err1 == nil && err2 == nil && bytes.Equal(was, now); !x.OK {
		x.Actual = "the raw samples say otherwise"
	}
	return x
}

func breakerAgain(dir string, sys *drills.System, b drills.BreakerMeasured) (drills.BreakerMeasured, error) {
	f, err := os.Open(filepath.Join(dir, "raw", filepath.Base(b.Raw)))
	if err != nil {
		return b, err
	}
	defer func() { _ = f.Close() }() // only read
	if b.Source == drills.BreakerByTraffic {
		component, name, _ := strings.Cut(b.Name, "/")
		spec := sys.Components[component].Breakers[name].Traffic
		if spec == nil {
			return b, fmt.Errorf("the system of the run has no breaker %s that is inferred from traffic", b.Name)
		}
		return verifier.InferBreaker(f, b.Name, *spec)
	}
	all, err := verifier.MeasureBreakers(f)
	if err != nil {
		return b, err
	}
	for _, again := range all {
		if again.Name == b.Name {
			return again, nil
		}
	}
	return b, fmt.Errorf("the raw readings know no breaker %s", b.Name)
}
