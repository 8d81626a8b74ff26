package verifier

import (
	"io"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// How a breaker is inferred from traffic: failures count as immediate up to quickAtLeast or quickTimes the p99 of good answers,
// and as calls beyond twice that; a state needs confirm answers in a row, so that one odd answer opens nothing.
const (
	quickAtLeast = 50 * time.Millisecond
	quickTimes   = 3
	confirm      = 3
)

// InferBreaker infers a breaker from a probe's raw file. Raw is the caller's.
func InferBreaker(raw io.Reader, name string, spec drills.BreakerTraffic) (drills.BreakerMeasured, error) {
	in, digest := digesting(raw)
	meta, samples, err := ReadRaw(in)
	if err != nil {
		return drills.BreakerMeasured{}, err
	}
	m := inferBreaker(meta, samples, name, spec)
	m.SHA256 = digest()
	return m, nil
}

// token is what one answer says about the breaker in front of the dependency.
type token byte

const (
	passed  token = 'G' // good: it was called and answered
	hung    token = 'S' // a failure that took its time: it was called
	refused token = 'F' // an immediate failure: it was not called
)

func inferBreaker(meta ProbeMeta, samples []Sample, name string, spec drills.BreakerTraffic) drills.BreakerMeasured {
	m := drills.BreakerMeasured{Name: name, Instance: "probe " + meta.Name, Source: drills.BreakerByTraffic}
	s := slices.DeleteFunc(slices.Clone(samples), func(x Sample) bool { return x.Class.Ours() })
	slices.SortStableFunc(s, func(a, b Sample) int { return bySendAt(a, b.Send) })
	if m.Readings = len(s); len(s) == 0 {
		m.Error = "no answer says anything about the system"
		return m
	}
	clock := meta.clock()
	m.From, m.To = clock.Time(s[0].Send), clock.Time(s[len(s)-1].Send)
	m.Missed = len(samples) - len(s)
	m.Largest = drills.Duration(gap(s))
	tokens := tokensOf(s, spec.Says)
	if spec.Says == "" && immediateFromTheFirst(tokens) {
		m.Error = "failures came at once from the first one: a dependency that refuses looks the same as an open breaker"
		return m
	}
	m.Spans = inferSpans(s, tokens, clock)
	return m
}

func tokensOf(s []Sample, says string) []token {
	quick := max(quickAtLeast, quickTimes*summarise(s).p99.D())
	out := make([]token, len(s))
	for i, x := range s {
		switch {
		case !x.Class.Bad() || x.Class == Slow:
			out[i] = passed
		case says != "" && strings.HasPrefix(x.Text, says):
			out[i] = refused
		case says == "" && x.Class != Timeout && x.Latency() <= quick:
			out[i] = refused
		default:
			out[i] = hung
		}
	}
	return out
}

// immediateFromTheFirst tells whether a run of immediate failures follows good answers with hardly a call that hung between.
func immediateFromTheFirst(ts []token) bool {
	hanging := 0
	for i, t := range ts {
		switch t {
		case passed:
			hanging = 0
		case hung:
			hanging++
		case refused:
			if run(ts[i:], refused) {
				return hanging < 2
			}
		}
	}
	return false
}

// run tells whether the next answers are all alike.
func run(ts []token, want token) bool {
	if len(ts) < confirm {
		return false
	}
	return !slices.ContainsFunc(ts[:confirm], func(t token) bool { return t != want })
}

// inferSpans walks over the answers. A call that hung was let through when it was sent, so the breaker opened after the last
// such one was sent and before the first refusal was answered; it closed after the last refused one was sent and before
// the first of the good ones that follow was answered.
func inferSpans(s []Sample, ts []token, clock drills.Clock) []drills.BreakerSpan {
	between := func(a, b Sample) drills.Interval {
		return drills.Interval{From: clock.Time(a.Send), To: clock.Time(b.Done)}
	}
	spans := []drills.BreakerSpan{{State: drills.BreakerClosed, Enter: between(s[0], s[0])}}
	open, tried, lastRefused := false, false, s[0]
	for i, t := range ts {
		was := s[max(0, i-1)]
		switch {
		case !open && t == refused && run(ts[i:], refused):
			open, tried = true, false
			spans = append(spans, drills.BreakerSpan{State: drills.BreakerOpen, Enter: between(was, s[i])})
		case open && t == passed && run(ts[i:], passed):
			open = false
			spans = append(spans, drills.BreakerSpan{State: drills.BreakerClosed, Enter: between(lastRefused, s[i])})
		case open && t == refused && tried:
			tried = false
			spans = append(spans, drills.BreakerSpan{State: drills.BreakerOpen, Enter: between(was, s[i])})
		case open && t != refused && !tried:
			tried = true
			spans = append(spans, drills.BreakerSpan{State: drills.BreakerHalfOpen, Enter: between(was, s[i])})
		}
		if t == refused {
			lastRefused = s[i]
		}
		countAnswer(&spans[len(spans)-1], t, s[i])
	}
	return spans
}

func countAnswer(span *drills.BreakerSpan, t token, s Sample) {
	if t == refused {
		span.Rejected++
		return
	}
	span.Calls++
	span.Waited += s.Latency().Seconds()
	if t == hung {
		span.Failures++
	}
}
