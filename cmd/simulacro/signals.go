package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// withSignals cancels the context at the first interrupt. A second one changes nothing: restoring is not skipped. A closed
// terminal or pipe must not end us in the middle of a fault either.
func withSignals(ctx context.Context, stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-quit:
				return
			case s := <-signals:
				if n == 0 {
					fmt.Fprintf(stderr, "simulacro: %s: stopping, restoring what was broken\n", s)
				} else {
					fmt.Fprintf(stderr, "simulacro: %s: still restoring; it is not skipped\n", s)
				}
				cancel(fmt.Errorf("signal %s", s))
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		signal.Stop(pipe)
		close(quit)
		<-done
		cancel(nil)
	}
}
