package drills

import (
	"fmt"
	"strings"
	"time"
)

// dataFindings say what the canaries' counts and the servers that acknowledged them show, on a pass too.
func (f *folder) dataFindings() {
	for _, c := range f.rec.Canaries {
		if !c.IsStored() {
			f.deliveries(c)
			continue
		}
		if c.Reordered > 0 {
			f.find("reordered:"+c.Name, SeverityWarning, fmt.Sprintf("%d writes of %s stand behind one that was sent only after their acknowledgement", c.Reordered, c.Name), "")
		}
		if c.Stale > 0 {
			f.find("stale:"+c.Name, SeverityWarning, fmt.Sprintf("%d acknowledged writes of %s are not on every member", c.Stale, c.Name),
				"Missing "+missingOn(c)+", though it said that it was in step. Whoever reads there is told an older state.")
		}
		if c.Resurrected > 0 {
			f.find("resurrected:"+c.Name, SeveritySerious, fmt.Sprintf("%d writes of %s that were refused or deleted are there all the same", c.Resurrected, c.Name), "")
		}
		if c.Duplicated > 0 {
			f.find("duplicated:"+c.Name, SeverityWarning, fmt.Sprintf("%d writes of %s are there twice", c.Duplicated, c.Name), "")
		}
	}
	for _, r := range f.rec.Registers {
		f.register(r)
	}
	for _, s := range f.rec.Splits {
		for _, p := range s.Pairs {
			f.split(s, p)
		}
	}
}

// deliveries are findings about messages: there is no store that could be asked again, only what each client got.
func (f *folder) deliveries(c CanaryMeasured) {
	per := func(of func(ClientDelivery) string) string {
		var out []string
		for _, x := range c.Clients {
			if s := of(x); s != "" {
				out = append(out, x.Client+": "+s)
			}
		}
		return strings.Join(out, "; ") + "."
	}
	number := func(n int, s string) string {
		if n == 0 {
			return ""
		}
		return s
	}
	if c.Lost > 0 {
		f.find("lost-messages:"+c.Name, SeveritySerious, fmt.Sprintf("%d messages of %s were acknowledged and did not reach every client", c.Lost, c.Name),
			per(func(x ClientDelivery) string {
				return number(x.Lost, fmt.Sprintf("%d missed, %d of them while connected", x.Lost, x.Connected))
			}))
	}
	if c.Duplicated > 0 {
		f.find("duplicated:"+c.Name, SeverityWarning, fmt.Sprintf("%d messages of %s reached a client more than once", c.Duplicated, c.Name),
			per(func(x ClientDelivery) string { return number(x.Duplicated, fmt.Sprint(x.Duplicated)) }))
	}
	if c.Reordered > 0 {
		f.find("reordered:"+c.Name, SeverityWarning, fmt.Sprintf("%d messages of %s came after one that was sent only after their acknowledgement", c.Reordered, c.Name),
			per(func(x ClientDelivery) string { return number(x.Reordered, fmt.Sprint(x.Reordered)) }))
	}
	if n := c.Corrupt + c.Phantom + c.Resurrected; n > 0 {
		f.find("altered:"+c.Name, SeveritySerious, fmt.Sprintf("%d messages of %s arrived other than they were sent", n, c.Name),
			fmt.Sprintf("%d altered, %d never sent, %d refused and delivered all the same.", c.Corrupt, c.Phantom, c.Resurrected))
	}
}

func missingOn(c CanaryMeasured) string {
	var out []string
	for _, m := range c.Members {
		if m.Missing > 0 {
			out = append(out, fmt.Sprintf("on %s: %d", m.Member, m.Missing))
		}
	}
	return strings.Join(out, ", ")
}

// split reports what a former primary acknowledged after the new one had begun. That it was nothing is worth saying only
// where somebody tried.
func (f *folder) split(s SplitMeasured, p SplitPair) {
	if p.Acked == 0 {
		if p.Watched && p.AtMost == 0 {
			f.find("one-primary:"+s.Component, SeverityInfo, fmt.Sprintf("%s acknowledged no write after %s had acknowledged its first", p.Old, p.New),
				fmt.Sprintf("Measured by a canary that stayed with %s; %s acknowledged first at %s.", p.Old, p.New, clockSpan(p.From)))
		}
		return
	}
	words := []string{
		fmt.Sprintf("From %s, when %s acknowledged its first write, to %s, %s acknowledged %s more: %d survived, %d vanished.",
			clockSpan(p.From), p.New, clockSpan(p.To), p.Old, countOf(p), p.Survived, p.Lost),
	}
	if !p.Refused.IsZero() {
		words = append(words, fmt.Sprintf("%s refused writes from %s on.", p.Old, clockSpan(p.Refused)))
		if p.Lost > 0 {
			words = append(words, "What only it had was discarded "+f.discarded(s.Component, p)+".")
		}
	}
	f.find("both-acknowledged:"+s.Component, SeveritySerious, fmt.Sprintf("Two members of %s acknowledged writes at the same time, for %s", s.Component, p.To.Since(p.From)), strings.Join(words, " "))
}

func countOf(p SplitPair) string {
	if p.Acked == p.AtMost {
		return fmt.Sprint(p.Acked)
	}
	return fmt.Sprintf("%d to %d", p.Acked, p.AtMost)
}

// discarded brackets when a former primary threw its own writes away: not before it refused new ones, and at the latest when
// it was seen to be a replica in step again, or else when the canaries were read back.
func (f *folder) discarded(component string, p SplitPair) string {
	if at, ok := f.redundantAgain(component); ok && component == f.drill.Component && at.To.After(p.Refused.From) {
		return fmt.Sprintf("between %s and %s, when it was a replica again", clockAt(p.Refused.From), clockAt(at.To))
	}
	return fmt.Sprintf("after %s and before the canaries were read back", clockAt(p.Refused.From))
}

func clockAt(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// clockSpan is an interval of instants, short where its ends look the same.
func clockSpan(i Interval) string {
	if a, b := clockAt(i.From), clockAt(i.To); a != b {
		return a + "–" + b
	}
	return clockAt(i.To)
}
