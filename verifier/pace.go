package verifier

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// ownShare is the part of a target's limit that our own requests may use: the users' and the logins' come on top.
const ownShare = 0.5

const (
	windowUnset = time.Minute    // of a limit that is stated without one
	windowMost  = 24 * time.Hour // a reset further away than that is a date
	usefulSlots = 5              // probes that the window which proves recovery must hold at least
	usefulMost  = 10 * time.Second
)

// allowance is how many requests a target takes in how long.
type allowance struct {
	Requests int
	Window   time.Duration
	Left     int // of it, now; -1: not said
	Source   string
}

// rate is in requests a second.
func (a allowance) rate() float64 { return float64(a.Requests) / a.Window.Seconds() }

// ours is what we may send within a window: our share, and never more than what is left.
func (a allowance) ours() float64 {
	n := ownShare * float64(a.Requests)
	if a.Left >= 0 {
		n = min(n, float64(a.Left))
	}
	return n
}

// allowanceOf reads what an answer says of its target's limit: X-RateLimit-*, and RateLimit-* as several drafts of the IETF
// have it. now is for resets that are dates.
func allowanceOf(h http.Header, now time.Time) (allowance, bool) {
	out := allowance{Left: -1}
	for _, q := range policies(h) {
		if out.Requests == 0 || q.rate() < out.rate() {
			out = q
		}
	}
	if n, ok := number(first(h, "X-RateLimit-Limit", "X-Rate-Limit-Limit", "RateLimit-Limit")); ok && out.Requests == 0 {
		out.Requests, out.Window = n, windowUnset
		if reset, ok := number(first(h, "X-RateLimit-Reset", "X-Rate-Limit-Reset", "RateLimit-Reset")); ok {
			out.Window = max(out.Window, untilReset(reset, now))
		}
		out.Source = "rate limit headers"
	}
	if out.Requests <= 0 {
		return allowance{}, false
	}
	if n, ok := number(first(h, "X-RateLimit-Remaining", "X-Rate-Limit-Remaining", "RateLimit-Remaining")); ok {
		out.Left = n
	} else if n, ok := number(parameters(h.Get("RateLimit"), "remaining", "r")); ok {
		out.Left = n
	}
	return out, true
}

// untilReset is how long a reset is away, which may be given in seconds or as the second of its date.
func untilReset(reset int, now time.Time) time.Duration {
	if d := time.Duration(reset) * time.Second; d <= windowMost {
		return d
	}
	return min(time.Unix(int64(reset), 0).Sub(now), windowMost)
}

// policies are the quotas of RateLimit-Policy (100;w=60, or "name";q=100;w=60), and of a RateLimit-Limit or RateLimit that
// carries them.
func policies(h http.Header) []allowance {
	var out []allowance
	lines := slices.Concat(h.Values("RateLimit-Policy"), h.Values("RateLimit-Limit"), h.Values("X-RateLimit-Policy"))
	for item := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		w, ok := number(parameters(item, "w"))
		if !ok || w <= 0 {
			continue
		}
		quota := parameters(item, "q")
		if quota == "" {
			quota, _, _ = strings.Cut(strings.TrimSpace(item), ";")
		}
		if n, ok := number(quota); ok && n > 0 {
			out = append(out, allowance{Requests: n, Window: time.Duration(w) * time.Second, Left: -1, Source: "RateLimit-Policy"})
		}
	}
	if n, ok := number(parameters(h.Get("RateLimit"), "limit")); ok && n > 0 && len(out) == 0 {
		a := allowance{Requests: n, Window: windowUnset, Left: -1, Source: "RateLimit"}
		if reset, ok := number(parameters(h.Get("RateLimit"), "reset")); ok {
			a.Window = max(a.Window, time.Duration(reset)*time.Second)
		}
		out = append(out, a)
	}
	return out
}

// parameters finds key=value among the parameters of a structured field.
func parameters(field string, names ...string) string {
	for p := range strings.FieldsFuncSeq(field, func(r rune) bool { return r == ';' || r == ',' }) {
		k, v, ok := strings.Cut(strings.TrimSpace(p), "=")
		if ok && slices.Contains(names, strings.ToLower(k)) {
			return v
		}
	}
	return ""
}

func first(h http.Header, names ...string) string {
	for _, n := range names {
		if v := h.Get(n); v != "" {
			return v
		}
	}
	return ""
}

// number reads the whole number that a value begins with; a list's first.
func number(s string) (int, bool) {
	s, _, _ = strings.Cut(s, ",")
	s, _, _ = strings.Cut(s, ";")
	n, err := strconv.Atoi(strings.Trim(strings.TrimSpace(s), `"`))
	return n, err == nil && n >= 0
}

// asker is one probe or canary that sends requests to a target.
type asker struct {
	name  string
	every time.Duration
	most  time.Duration // the longest period at which it is still of use
}

// paced is what became of a target's askers.
type paced struct {
	every   map[string]time.Duration // those that have to ask less often, by name
	wanted  float64                  // requests within a window, as the system file has it
	floor   time.Duration            // the shortest period that fits; zero: all fit as they are
	tooSlow []string                 // those that would be of no use any more
}

// pace finds the shortest period, P, at which asking at most once every P fits into the allowance; who asks less often
// already goes on as before.
func pace(all []asker, a allowance) paced {
	out := paced{every: map[string]time.Duration{}}
	for _, x := range all {
		out.wanted += perWindow(x.every, a)
	}
	if out.wanted <= a.ours() {
		return out
	}
	s := slices.Clone(all)
	slices.SortFunc(s, func(a, b asker) int { return cmp.Compare(a.every, b.every) })
	slower := out.wanted
	for i, x := range s { // the i+1 fastest ask every P, the others as before
		slower -= perWindow(x.every, a)
		left := a.ours() - slower
		if left <= 0 {
			continue
		}
		p := time.Duration(math.Ceil(float64(i+1) * float64(a.Window) / left))
		if i+1 == len(s) || p <= s[i+1].every {
			out.floor = p
			break
		}
	}
	if out.floor == 0 { // nothing is left at all
		out.floor = math.MaxInt64
	}
	out.floor = roundUp(out.floor)
	for _, x := range s {
		if x.every >= out.floor {
			continue
		}
		out.every[x.name] = out.floor
		if out.floor > x.most {
			out.tooSlow = append(out.tooSlow, x.name)
		}
	}
	slices.Sort(out.tooSlow)
	return out
}

func perWindow(every time.Duration, a allowance) float64 { return float64(a.Window) / float64(every) }

// roundUp makes a period that people can read.
func roundUp(d time.Duration) time.Duration {
	if d > math.MaxInt64-time.Second {
		return d
	}
	step := time.Millisecond
	if d > 100*time.Millisecond {
		step = 10 * time.Millisecond
	}
	return (d + step - 1) / step * step
}

// text says what was found and what follows.
func (p paced) text(a allowance) string {
	s := fmt.Sprintf("%d requests in %s", int(math.Ceil(p.wanted)), a.Window)
	if a.Left >= 0 {
		s += fmt.Sprintf(", %d of %d left", a.Left, a.Requests)
	}
	if p.floor == 0 {
		return s
	}
	if len(p.tooSlow) > 0 {
		if p.floor > windowMost {
			return s + ": nothing is left for us"
		}
		return fmt.Sprintf("%s; to fit, %s would ask only every %s, too seldom to measure a recovery", s, strings.Join(p.tooSlow, ", "), p.floor)
	}
	return fmt.Sprintf("%s: %s ask every %s instead, and the intervals are wider by it", s, strings.Join(slices.Sorted(maps.Keys(p.every)), ", "), p.floor)
}

// usefulFor is the longest period of a probe that can still prove a recovery.
func usefulFor(r drills.Recovery) time.Duration {
	window := r.For.D()
	if window <= 0 {
		window = defaultSettle
	}
	return window / usefulSlots
}
