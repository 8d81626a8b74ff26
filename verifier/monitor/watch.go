package monitor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"go.uber.org/zap"

	"github.com/eevans-d/simulacro/drills"
)

// alertSource and sinkSource are what the watcher asks; nil means none declared.
type alertSource interface {
	alerts(context.Context) ([]v1.Alert, error)
}

type sinkSource interface {
	notifications(ctx context.Context, since time.Time) ([]notification, error)
}

// watcher is the one goroutine that polls. It belongs to the Monitor: Finish waits for it.
type watcher struct {
	prom    alertSource
	sink    sinkSource
	poll    time.Duration
	emit    func(drills.Event)
	log     *zap.Logger
	tracker *tracker
	last    span      // of the last answer of Prometheus
	since   time.Time // receive time of the newest delivery seen
	dark    blindness // of Prometheus
	deaf    blindness // of the sink
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// begin takes the baseline, then polls until end. The first answer of each source must come, or watching would
// attribute what was there before: that is the error.
func (w *watcher) begin(ctx context.Context, rules []alertRule) error {
	start := time.Now()
	w.tracker, w.since = newTracker(start, rules), start
	w.dark, w.deaf = blindness{name: drills.BlindPrometheus, from: start}, blindness{name: drills.BlindSink, from: start}
	if w.prom != nil {
		alerts, sp, err := w.askAlerts(ctx)
		if err != nil {
			return drills.Wrap(drills.Blocked, err, "alerts cannot be read from Prometheus", "check monitoring.prometheus in the system file")
		}
		w.last = sp
		w.dark.ok(sp)
		w.reportOld(w.tracker.baseline(alerts))
		w.publish(w.tracker.observe(span{}, sp, alerts)) // what is pending already may yet fire because of the drill
	}
	if w.sink != nil {
		if _, _, err := w.askSink(ctx); err != nil {
			return drills.Wrap(drills.Blocked, err, "notifications cannot be read from the sink", "check monitoring.notified-by in the system file")
		}
	}
	// The engine's context may end before restoring does; alerts are watched until Finish.
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.cancel = cancel
	w.done.Go(func() { w.loop(run) })
	return nil
}

// loop polls on an absolute schedule; a poll that took longer than its slot skips the slots it covered.
func (w *watcher) loop(ctx context.Context) {
	next := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		w.cycle(ctx)
		next = next.Add(w.poll)
		if late := time.Since(next); late > 0 {
			next = next.Add(late.Truncate(w.poll) + w.poll)
		}
		timer.Reset(time.Until(next))
	}
}

// cycle asks the sink first: an alert that was delivered before that is in Prometheus's later answer, so that a
// delivery is always recognised as the alert it is.
func (w *watcher) cycle(ctx context.Context) {
	var told []notification
	if w.sink != nil {
		ns, sp, err := w.askSink(ctx)
		if w.heard(ctx, &w.deaf, sp, err) {
			told = ns
		}
	}
	if w.prom != nil {
		alerts, sp, err := w.askAlerts(ctx)
		if w.heard(ctx, &w.dark, sp, err) {
			w.publish(w.tracker.observe(w.last, sp, alerts))
			w.last = sp
		}
	}
	for _, n := range told {
		if n.ReceivedAt.After(w.since) {
			w.since = n.ReceivedAt.Time
		}
	}
	w.publish(w.tracker.told(told))
}

// heard keeps the books of blindness; it is false for an answer that must not be used.
func (w *watcher) heard(ctx context.Context, b *blindness, sp span, err error) bool {
	if ctx.Err() != nil {
		return false // we are stopping: not the other side's silence
	}
	if err == nil {
		if over := b.ok(sp); over != nil {
			w.emit(blindEvent(over))
		}
		return true
	}
	if b.lost(err) {
		w.log.Warn("monitoring does not answer", zap.String("source", b.name), zap.Error(err))
	}
	return false
}

func (w *watcher) askAlerts(ctx context.Context) ([]v1.Alert, span, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	sp := span{sent: time.Now()}
	alerts, err := w.prom.alerts(ctx)
	sp.got = time.Now()
	return alerts, sp, err
}

func (w *watcher) askSink(ctx context.Context) ([]notification, span, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	sp := span{sent: time.Now()}
	ns, err := w.sink.notifications(ctx, w.since)
	sp.got = time.Now()
	return ns, sp, err
}

func (w *watcher) publish(evs []drills.AlertEvent) {
	for _, e := range evs {
		w.emit(drills.Event{At: time.Now().UTC(), Kind: drills.EvAlert, Alert: &e})
	}
}

func (w *watcher) reportOld(firing []*life) {
	if len(firing) == 0 {
		return
	}
	names := make([]string, len(firing))
	for i, l := range firing {
		names[i] = l.String()
	}
	w.emit(finding("alerts-already-firing", drills.SeverityWarning,
		fmt.Sprintf("%d alert(s) fired before the drill began and are not attributed to it", len(firing)), strings.Join(names, ", ")))
}

// end stops polling, waits, and returns the findings about the watching itself.
func (w *watcher) end() []drills.Event {
	w.cancel()
	w.done.Wait()
	var out []drills.Event
	now := time.Now()
	for _, b := range []*blindness{&w.dark, &w.deaf} {
		out = append(out, b.report(now)...)
	}
	if n := len(w.tracker.over); n > 0 {
		out = append(out, finding("alert-flood", drills.SeverityWarning,
			fmt.Sprintf("more than %d different alerts were active; further alerts of %d name(s) were not followed", maxLives, n), ""))
	}
	return out
}
