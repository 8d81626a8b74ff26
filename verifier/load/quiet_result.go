package load

import (
	"cmp"
	"slices"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// asks that may go unanswered before nobody knows whether the target still has a half-open connection.
const asks = 3

// measured is the result. now is when the clients are let go.
func (s *silence) measured(now time.Time) drills.LoadMeasured {
	t := s.book.tally()
	q := s.quiet(now)
	return drills.LoadMeasured{
		Engine: "epoll loop, then " + s.args.Kind, Wanted: s.args.Connections, Connected: len(s.clients),
		FailedDials: int(t.Failed), DialErrors: counted(t.Errors), Drops: int(t.Drops), RampTook: drills.Duration(s.ramp),
		RSSBytes: rss(), MemoryBytes: pss(), CPU: drills.Duration(cpuTime()), Series: s.series, Quiet: &q,
	}
}

func (s *silence) quiet(now time.Time) drills.QuietClients {
	out := drills.QuietClients{Kind: s.args.Kind}
	hows := map[string]int{}
	var ends []drills.Span
	for _, q := range s.clients {
		if !q.silent() {
			out.Unproven++
			continue
		}
		out.Silent++
		if from := q.from.UTC(); out.Since.IsZero() {
			out.Since = drills.At(from)
		} else if from.After(out.Since.To) {
			out.Since.To = from
		}
		out.Unread += int64(q.most)
		out.Unanswered += int64(q.last.unanswered - q.before.unanswered)
		if q.closed {
			out.Closed++
		}
		switch {
		case !q.ended.IsZero():
			out.Ended++
			hows[q.how]++
			ends = append(ends, q.took())
		case s.args.Kind == drills.HalfOpenClients && now.Sub(q.seen) > asks*s.args.Ask.D()+lookEvery:
			out.Unclear++
		default:
			out.Held++
		}
	}
	out.Ends = counted(hows)
	out.First, out.Half, out.Last = spread(ends)
	return out
}

// took is how long the target kept the connection of a client that had fallen silent.
func (q *quiet) took() drills.Span {
	return drills.Span{Lo: drills.Duration(max(0, q.seen.Sub(q.from))), Hi: drills.Duration(q.ended.Sub(q.from))}
}

// spread is the first, the middle and the last of the spans; the slowest for certain may be another one than the slowest perhaps.
func spread(spans []drills.Span) (first, half, last drills.Span) {
	n := len(spans)
	if n == 0 {
		return first, half, last
	}
	slices.SortFunc(spans, func(x, y drills.Span) int { return cmp.Compare(x.Hi, y.Hi) })
	first, half, last = spans[0], spans[(n-1)/2], spans[n-1]
	for _, s := range spans {
		last.Lo = max(last.Lo, s.Lo)
	}
	return first, half, last
}
