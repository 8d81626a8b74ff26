package drills

import (
	"fmt"
	"time"
)

// Duration is a time.Duration that reads and writes Go notation ("1m30s") in every text format.
// A bare number is an error: nobody can tell seconds from nanoseconds by looking.
type Duration time.Duration

// D returns d as a time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String returns d in Go notation.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes d in Go notation.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads Go notation; the error says what is accepted.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 250ms, 30s or 15m", b)
	}
	*d = Duration(v)
	return nil
}

// Interval is a span of time that is known to contain an instant: From <= instant <= To.
type Interval struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// At is the interval of an instant that is known exactly.
func At(t time.Time) Interval { return Interval{From: t, To: t} }

// IsZero tells whether the interval was never set.
func (i Interval) IsZero() bool { return i.From.IsZero() && i.To.IsZero() }

// Mid is the middle of the interval, for pictures; judgements use the bounds.
func (i Interval) Mid() time.Time { return i.From.Add(i.To.Sub(i.From) / 2) }

// Span is a measured length of time with its error bounds: Lo <= true length <= Hi.
type Span struct {
	Lo Duration `json:"lo"`
	Hi Duration `json:"hi"`
}

// Since is the span from an instant in a to an instant in i; negative bounds are clipped to zero.
func (i Interval) Since(a Interval) Span {
	return Span{Lo: Duration(max(0, i.From.Sub(a.To))), Hi: Duration(max(0, i.To.Sub(a.From)))}
}

// String prints the span in seconds with three decimals, as "12.345–12.401 s".
func (s Span) String() string {
	if s.Lo == s.Hi {
		return fmt.Sprintf("%.3f s", s.Lo.D().Seconds())
	}
	return fmt.Sprintf("%.3f–%.3f s", s.Lo.D().Seconds(), s.Hi.D().Seconds())
}
