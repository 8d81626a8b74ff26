package main

import (
	"context"

	"github.com/eevans-d/simulacro/drills"
)

// netWatch is the Observer that puts faults which ended without us into the record.
type netWatch struct {
	ends <-chan string
	quit chan struct{}
	done chan struct{}
}

func newNetWatch(ends <-chan string) *netWatch {
	return &netWatch{ends: ends, quit: make(chan struct{}), done: make(chan struct{})}
}

func (w *netWatch) Start(_ context.Context, emit func(drills.Event)) error {
	go func() {
		defer close(w.done)
		for {
			select {
			case <-w.quit:
				return
			case why := <-w.ends:
				emit(drills.Event{Kind: drills.EvFinding, Finding: &drills.Finding{
					ID: drills.FaultEnded + why, Severity: drills.SeveritySerious,
					Title: "A fault ended before we undid it: " + why,
				}})
			}
		}
	}()
	return nil
}

func (w *netWatch) Finish(context.Context, drills.Timing) ([]drills.Event, error) {
	close(w.quit)
	<-w.done
	return nil, nil
}
