package monitor

import (
	"fmt"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// blindness keeps when one source did not answer. People would have been blind for as long.
type blindness struct {
	name  string
	from  time.Time // when the last good answer was asked for
	cause error     // of the first failure of the span that is open; nil: not blind
	spans []string
	times []drills.Interval
	count int
	total time.Duration
}

// maxSpans bounds the spans that are spelt out; all are counted.
const maxSpans = 10

// ok ends an open span, and returns it.
func (b *blindness) ok(sp span) *drills.Blind {
	var over *drills.Blind
	if b.cause != nil {
		over = b.close(sp.got)
	}
	b.from = sp.sent
	return over
}

// lost opens a span; true if it was not open yet.
func (b *blindness) lost(err error) bool {
	if b.cause != nil {
		return false
	}
	b.cause = err
	return true
}

func (b *blindness) close(to time.Time) *drills.Blind {
	b.times = append(b.times, drills.Interval{From: b.from, To: to})
	b.count++
	b.total += to.Sub(b.from)
	if len(b.spans) < maxSpans {
		b.spans = append(b.spans, fmt.Sprintf("%s–%s (%.1f s): %.200s", clock(b.from), clock(to), to.Sub(b.from).Seconds(), b.cause))
	}
	b.cause = nil
	return &drills.Blind{Source: b.name, Span: drills.Interval{From: b.from.UTC(), To: to.UTC()}}
}

// report is the one finding about this source; end is when watching stopped.
func (b *blindness) report(end time.Time) []drills.Event {
	var out []drills.Event
	severity, still := drills.SeverityWarning, ""
	if b.cause != nil {
		out = append(out, blindEvent(b.close(end)))
		severity, still = drills.SeveritySerious, ", and it was still so at the end"
	}
	if b.count == 0 {
		return nil
	}
	title := fmt.Sprintf("%s did not answer for %.1f s in %d span(s)%s: people would have been blind too", b.name, b.total.Seconds(), b.count, still)
	return append(out, finding("monitoring-blind", severity, title, strings.Join(b.spans, "\n")))
}

func blindEvent(b *drills.Blind) drills.Event {
	return drills.Event{At: time.Now().UTC(), Kind: drills.EvBlind, Blind: b}
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000Z") }
