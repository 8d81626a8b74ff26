package verifier

import (
	"encoding/json"
	"io"
	"maps"
	"slices"

	"github.com/eevans-d/simulacro/drills"
)

// MeasureBreakers says, from the raw readings of one instance, what each breaker in them did. Raw and the error of an agent
// that died are the caller's.
func MeasureBreakers(raw io.Reader) ([]drills.BreakerMeasured, error) {
	in, digest := digesting(raw)
	meta, samples, err := ReadRaw(in)
	if err != nil {
		return nil, err
	}
	out := breakersIn(meta, samples)
	sum := digest()
	for i := range out {
		out[i].SHA256 = sum
	}
	return out, nil
}

// timedReading is a reading between its sending and its answer.
type timedReading struct {
	reading
	at drills.Interval
}

func breakersIn(meta ProbeMeta, samples []Sample) []drills.BreakerMeasured {
	clock := meta.clock()
	s := slices.Clone(samples)
	slices.SortStableFunc(s, func(a, b Sample) int { return bySendAt(a, b.Send) })
	read := map[string][]timedReading{}
	for _, x := range s {
		var one map[string]reading
		if x.Class != Good || json.Unmarshal([]byte(x.Text), &one) != nil {
			continue
		}
		for name, r := range one {
			read[name] = append(read[name], timedReading{r, drills.Interval{From: clock.Time(x.Send), To: clock.Time(x.Done)}})
		}
	}
	var out []drills.BreakerMeasured
	for _, name := range slices.Sorted(maps.Keys(read)) {
		m := spansOf(read[name])
		m.Name, m.Instance, m.Source = name, meta.Name, drills.BreakerByMetrics
		m.Missed = len(s) - len(read[name])
		out = append(out, m)
	}
	return out
}

// spansOf turns readings (ordered by their sending) into times in one state each.
func spansOf(rs []timedReading) drills.BreakerMeasured {
	m := drills.BreakerMeasured{Readings: len(rs), From: rs[0].at.From, To: rs[len(rs)-1].at.From}
	m.Spans = []drills.BreakerSpan{{State: rs[0].State, Enter: rs[0].at}}
	for i, now := range rs[1:] {
		was := rs[i]
		m.Largest = max(m.Largest, drills.Duration(now.at.From.Sub(was.at.From)))
		old := len(m.Spans) - 1
		if now.State != was.State {
			m.Spans = append(m.Spans, drills.BreakerSpan{State: now.State, Enter: drills.Interval{From: was.at.From, To: now.at.To}})
		}
		called, refused := attribute(m.Spans, old)
		m.Spans[called].Calls += int(more(was.Calls, now.Calls))
		m.Spans[called].Failures += int(more(was.Failures, now.Failures))
		m.Spans[called].Waited += more(was.Waited, now.Waited)
		m.Spans[refused].Rejected += int(more(was.Rejected, now.Rejected))
		seen := 0.0
		if now.State != drills.BreakerClosed && was.State != drills.BreakerOpen {
			seen = 1 // one opening is what the two states show
		}
		m.Unseen += int(max(0, more(was.Opened, now.Opened)-seen-reopened(was, now)))
	}
	return m
}

// reopened is an opening that needs no closed time before it: a trial call failed between two readings of open.
func reopened(was, now timedReading) float64 {
	if was.State == drills.BreakerOpen && now.State != drills.BreakerClosed {
		return 1
	}
	return 0
}

// attribute says which spans get what was called and what was refused between two readings, when the state of the later one
// may be new: a closed breaker calls, another refuses.
func attribute(spans []drills.BreakerSpan, old int) (called, refused int) {
	now := len(spans) - 1
	if now == old {
		return now, now
	}
	called, refused = now, now
	switch {
	case spans[old].State == drills.BreakerClosed:
		called = old
	case spans[now].State == drills.BreakerClosed:
		refused = old
	}
	return called, refused
}

// more is the growth of a counter; one that shrank began anew with its process.
func more(was, now float64) float64 {
	if now < was {
		return now
	}
	return now - was
}
