package verifier

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/eevans-d/simulacro/drills"
)

// series is one probe's samples on the orchestrator's side: in memory for baselines and windows, and in its raw file.
type series struct {
	meta  ProbeMeta
	file  string
	agent *agent

	mu      sync.Mutex
	raw     *rawWriter
	samples []Sample
	live    *live
	err     error // of the raw file
}

// RawName is the name of a probe's raw file.
func RawName(probe string) string { return "probe-" + probe + ".csv" }

func newSeries(files drills.Samples, meta ProbeMeta) (*series, error) {
	return newSeriesAs(files, meta, RawName(meta.Name))
}

func newSeriesAs(files drills.Samples, meta ProbeMeta, file string) (*series, error) {
	s := &series{meta: meta, file: file, live: newLive(meta.Name, meta.clock())}
	out, err := files.Create(s.file)
	if err != nil {
		return nil, fmt.Errorf("raw file of probe %s: %w", meta.Name, err)
	}
	if s.raw, err = newRawWriter(out, meta); err != nil {
		return nil, fmt.Errorf("raw file of probe %s: %w", meta.Name, err)
	}
	return s, nil
}

// add stores a sample and returns an edge when the probe's state has changed.
func (s *series) add(v Sample) *drills.Edge {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples = append(s.samples, v)
	s.note(s.raw.add(v))
	if v.Origin != Scheduled {
		return nil
	}
	return s.live.add(v)
}

func (s *series) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(s.raw.flush())
}

func (s *series) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(s.raw.close())
}

func (s *series) note(err error) {
	if s.err == nil && err != nil {
		s.err = fmt.Errorf("raw file %s: %w", s.file, err)
	}
}

func (s *series) baseline(c drills.Classes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Good > 0 {
		s.live.baseline(noise(c.Bad(), c.Good+c.Bad()))
	}
}

// window summarises the samples sent in it.
func (s *series) window(w drills.Interval) summary { return summarise(s.within(w)) }

// within are the samples sent in a window.
func (s *series) within(w drills.Interval) []Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sentIn(s.samples, mono(s.meta.clock(), w.From), mono(s.meta.clock(), w.To))
}

// measured judges all samples; the raw file is closed.
func (s *series) measured(steady drills.Interval, files drills.Samples) drills.ProbeMeasured {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := measure(s.meta, slices.Clone(s.samples), steady)
	m.Raw = s.file
	sum, err := files.Digest(s.file)
	s.note(err)
	m.SHA256 = sum
	if s.agent != nil && s.agent.failure() != nil {
		s.note(fmt.Errorf("the prober died: %w", s.agent.failure()))
	}
	if s.err != nil {
		m.Error = s.err.Error()
	}
	return m
}

func unmarshal(f drills.Frame, v any) error {
	if err := json.Unmarshal(f.Data, v); err != nil {
		return fmt.Errorf("frame %s: %w", f.Type, err)
	}
	return nil
}
