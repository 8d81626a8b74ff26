package main

import (
	"context"

	"github.com/eevans-d/simulacro/drills"
)

// endWatch is the Observer that puts faults which ended without us into the record.
type endWatch struct {
	ends <-chan drills.Gap
	quit chan struct{}
	done chan struct{}
}

func newEndWatch(ends <-chan drills.Gap) *endWatch {
	return &endWatch{ends: ends, quit: make(chan struct{}), done: make(chan struct{})}
}

func (w *endWatch) Start(_ context.Context, emit func(drills.Event)) error {
	go func() {
		defer close(w.done)
		for {
			select {
			case <-w.quit:
				return
			case g := <-w.ends:
				emit(drills.Event{Kind: drills.EvGap, Gap: &g})
			}
		}
	}()
	return nil
}

func (w *endWatch) Finish(context.Context, drills.Timing) ([]drills.Event, error) {
	close(w.quit)
	<-w.done
	return nil, nil
}
