package drills

import (
	"regexp"
	"time"
)

// Anchor is one end of a `during` window: a named instant plus an offset.
type Anchor struct {
	Name   string // T0 | T6 | T8 | lift
	Offset time.Duration
}

// ParseAnchor reads "T0", "T0+15s", "lift-5s".
func ParseAnchor(s string) (Anchor, error) {
	m := regexp.MustCompile(`^(T0|T6|T8|lift)([+-].+)?$`).FindStringSubmatch(s)
	if m == nil {
		return Anchor{}, Errorf(Input, "use T0, T6, T8 or lift, with an offset such as T0+15s", "%q is not an instant of a run", s)
	}
	if m[2] == "" {
		return Anchor{Name: m[1]}, nil
	}
	d, err := time.ParseDuration(m[2])
	if err != nil {
		return Anchor{}, Errorf(Input, "use an offset such as T0+15s", "%q is not an instant of a run", s)
	}
	return Anchor{Name: m[1], Offset: d}, nil
}

// instants are the named instants of a run as far as they are known.
func (t Times) instants(lift time.Time) map[string]time.Time {
	out := map[string]time.Time{}
	for name, s := range map[string]*Stamp{"T0": t.T0, "T6": t.T6, "T8": t.T8} {
		if s != nil {
			out[name] = s.To
		}
	}
	if !lift.IsZero() {
		out["lift"] = lift
	}
	return out
}

// resolve turns a pair of anchors into a window; false while one of them is not known.
func resolveWindow(w [2]string, known map[string]time.Time) (Interval, bool) {
	var ends [2]time.Time
	for i, s := range w {
		a, err := ParseAnchor(s)
		if err != nil {
			return Interval{}, false
		}
		t, ok := known[a.Name]
		if !ok {
			return Interval{}, false
		}
		ends[i] = t.Add(a.Offset)
	}
	return Interval{From: ends[0], To: ends[1]}, ends[0].Before(ends[1])
}
