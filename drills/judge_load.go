package drills

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

func (f *folder) judgeLoad(now time.Time) []Judged {
	var out []Judged
	for i := range f.drill.Expect.Load {
		out = append(out, f.judgeLoadOf(&f.drill.Expect.Load[i], now))
	}
	return out
}

func (f *folder) judgeLoadOf(x *LoadBound, now time.Time) Judged {
	j := Judged{ID: "load:" + x.Step, Title: "the load of step " + x.Step + " is carried", Target: loadTarget(x), Cause: "load", Verdict: NotMeasured, Actual: "not measured"}
	if !now.IsZero() {
		j.Verdict = Pending
		return j
	}
	loads := f.loadsOf(x.Step)
	if len(loads) == 0 || len(loads) < f.planned(x.Step) {
		j.Why = "the load engine did not report"
		return j
	}
	var actual []string
	j.Verdict = Met
	for _, m := range loads {
		actual = append(actual, loadActual(m))
		if why := loadMisses(x, m); why != "" && j.Verdict == Met {
			j.Verdict, j.Why = NotMet, why
			if m.Saturated != "" { // what the generator could not do is not the target's failure
				j.Verdict, j.Why = Unclear, "the load generator itself was saturated: "+m.Saturated
			}
		}
	}
	if why := flowMissing(x, loads); why != "" {
		j.Verdict, j.Why = NotMeasured, why
	}
	j.Actual = strings.Join(actual, "; ")
	return j
}

// loadsOf are the results of a step: a mix of users has one for each of its generators.
func (f *folder) loadsOf(step string) []LoadMeasured {
	return slices.DeleteFunc(slices.Clone(f.rec.Load), func(m LoadMeasured) bool { return m.Step != step })
}

// planned is how many generators a step has started.
func (f *folder) planned(step string) int {
	n := 0
	for _, x := range f.rec.Faults {
		if x.Change.Step == step && x.Change.Do.Prefix() == "load" {
			n++
		}
	}
	return n
}

// loadFault: a load that misses its bounds because the generator was at its limit, or because the target answered it with
// refusals meant for its sender, says nothing about the system.
func (f *folder) loadFault() (string, string) {
	for i := range f.drill.Expect.Load {
		if cause, why := f.loadFaultOf(&f.drill.Expect.Load[i]); cause != "" {
			return cause, why
		}
	}
	return "", ""
}

func (f *folder) loadFaultOf(x *LoadBound) (string, string) {
	for _, m := range f.loadsOf(x.Step) {
		if m.Saturated != "" && loadMisses(x, m) != "" {
			return "generator-saturated", "The load generator of step " + x.Step + " was saturated, so nothing is known of what the system carries: " + m.Saturated
		}
		for _, flow := range m.Flows {
			ours := flow.Count.Ours()
			if x.Throttled != nil {
				ours -= flow.Count.Throttled // the limiter is what is under test
			}
			if flow.Count.Total() > 0 && float64(ours) > oursLimit*float64(flow.Due) {
				return "load-refused", fmt.Sprintf("Load %s of step %s: %d of %d operations say nothing of the system (%d throttled, %d unauthorised, %d malformed, %d not sent)",
					flow.Name, x.Step, flow.Count.Ours(), flow.Due, flow.Count.Throttled, flow.Count.Unauthorised, flow.Count.Malformed, flow.Count.Observer)
			}
		}
	}
	return "", ""
}

func loadActual(m LoadMeasured) string {
	if len(m.Flows) == 0 {
		s := fmt.Sprintf("%d of %d connections, %.3f%% of %d frames, %d duplicated, %d out of order, p95 %s, p99 %s, %d drops, %d reconnects", m.Connected, m.Wanted,
			100*ratio(m.Received, m.Expected), m.Expected, m.Duplicated, m.Reordered, ms(m.P95), ms(m.P99), m.Drops, m.Reconnects)
		for _, storm := range m.Storms {
			s += "; " + storm.String()
		}
		return s
	}
	var out []string
	for _, x := range m.Flows {
		s := fmt.Sprintf("%s %.1f of %g/s, %.3f%% of %d good, p95 %s, p99 %s", x.Name, x.Achieved, x.Rate, 100*x.Success(), x.Due, ms(x.P95), ms(x.P99))
		if x.Count.Throttled > 0 {
			s += fmt.Sprintf(", %d throttled", x.Count.Throttled)
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

func loadTarget(x *LoadBound) string {
	var out []string
	share := func(what string, s Share) {
		if s > 0 {
			out = append(out, fmt.Sprintf("%s >= %g%%", what, math.Round(float64(s)*1e8)/1e6))
		}
	}
	limit := func(what string, d Duration) {
		if d > 0 {
			out = append(out, what+" < "+d.String())
		}
	}
	share("connected", x.Connected)
	share("delivered", x.Delivered)
	share("rate", x.Rate)
	share("success", x.Success)
	limit("p95", x.P95)
	limit("p99", x.P99)
	limit("all back after a storm", x.BackWithin)
	if x.Throttled != nil {
		out = append(out, fmt.Sprintf("throttled <= %d", *x.Throttled))
	}
	for _, b := range x.Flows {
		share(b.Flow+" rate", b.Rate)
		share(b.Flow+" success", b.Success)
		limit(b.Flow+" p95", b.P95)
		limit(b.Flow+" p99", b.P99)
	}
	return strings.Join(out, ", ")
}

func loadMisses(x *LoadBound, m LoadMeasured) string {
	if len(m.Flows) > 0 {
		return flowMisses(x, m)
	}
	switch {
	case ratio(int64(m.Connected), int64(m.Wanted)) < float64(x.Connected):
		return fmt.Sprintf("only %d of %d connections were held", m.Connected, m.Wanted)
	case x.Delivered > 0 && ratio(m.Received, m.Expected) < float64(x.Delivered):
		return fmt.Sprintf("%d of %d frames did not arrive", m.Expected-m.Received, m.Expected)
	case x.P95 > 0 && m.P95 >= x.P95:
		return fmt.Sprintf("p95 of delivery was %s", ms(m.P95))
	case x.P99 > 0 && m.P99 >= x.P99:
		return fmt.Sprintf("p99 of delivery was %s", ms(m.P99))
	case x.Drops != nil && m.Drops > *x.Drops:
		return fmt.Sprintf("the target dropped %d connections", m.Drops)
	case x.Reconnected > 0 && m.Drops+m.Cut > 0 && ratio(int64(m.Reconnects), int64(m.Drops+m.Cut)) < float64(x.Reconnected):
		return fmt.Sprintf("only %d of %d dropped connections came back", m.Reconnects, m.Drops+m.Cut)
	}
	for _, s := range m.Storms {
		if x.BackWithin > 0 && (s.Back100 == 0 || s.Back100 >= x.BackWithin) {
			return "coming back took too long: " + s.String()
		}
	}
	return ""
}

// String says a storm in one line.
func (s LoadStorm) String() string {
	back := func(d Duration) string {
		if d == 0 {
			return "never"
		}
		return ms(d)
	}
	return fmt.Sprintf("storm: %d of %d ended, half back in %s, 95%% in %s, all in %s, %d failed attempts, %.0f a second",
		s.Level-s.Lowest, s.Level, back(s.Back50), back(s.Back95), back(s.Back100), s.Failed, s.Rate)
}

// flowMisses: the bounds of the whole load hold for every flow, those of a flow for it alone.
func flowMisses(x *LoadBound, m LoadMeasured) string {
	for _, flow := range m.Flows {
		if t := x.Throttled; t != nil && flow.Count.Throttled > *t {
			return fmt.Sprintf("%s: %d of %d operations were throttled", flow.Name, flow.Count.Throttled, flow.Due)
		}
		bounds := []FlowBound{{Rate: x.Rate, Success: x.Success, P95: x.P95, P99: x.P99}}
		for _, b := range x.Flows {
			if b.Flow == flow.Name {
				bounds = append(bounds, b)
			}
		}
		for _, b := range bounds {
			if why := b.misses(flow); why != "" {
				return why
			}
		}
	}
	return ""
}

func (b FlowBound) misses(m FlowMeasured) string {
	switch {
	case m.Count.Good == 0:
		return m.Name + ": no operation was done well"
	case b.Rate > 0 && m.Achieved < float64(b.Rate)*m.Rate:
		return fmt.Sprintf("%s: %.1f operations a second were done well, wanted were %g", m.Name, m.Achieved, m.Rate)
	case b.Success > 0 && m.Success() < float64(b.Success):
		return fmt.Sprintf("%s: only %.3f%% of %d operations were answered well", m.Name, 100*m.Success(), m.Due)
	case b.P95 > 0 && m.P95 >= b.P95:
		return fmt.Sprintf("%s: p95 was %s", m.Name, ms(m.P95))
	case b.P99 > 0 && m.P99 >= b.P99:
		return fmt.Sprintf("%s: p99 was %s", m.Name, ms(m.P99))
	}
	return ""
}

// flowMissing names what is bounded and what the load does not have: a bound that nothing can break is no bound.
func flowMissing(x *LoadBound, loads []LoadMeasured) string {
	operations := func(m LoadMeasured) bool { return len(m.Flows) > 0 }
	frames := func(m LoadMeasured) bool { return len(m.Flows) == 0 }
	switch {
	case (x.Rate > 0 || x.Success > 0 || x.Throttled != nil) && !slices.ContainsFunc(loads, operations):
		return "rate, success and max-throttled are bounds on operations, and the load has none"
	case (x.Connected > 0 || x.Delivered > 0 || x.Drops != nil || x.Reconnected > 0) && !slices.ContainsFunc(loads, frames):
		return "connected, delivered, max-drops and reconnected are bounds on WebSocket connections, and the load has none"
	}
	if storm := func(m LoadMeasured) bool { return len(m.Storms) > 0 }; x.BackWithin > 0 && !slices.ContainsFunc(loads, storm) {
		return "no storm was seen: never did many connections end at once"
	}
	for _, b := range x.Flows {
		has := func(m LoadMeasured) bool {
			return slices.ContainsFunc(m.Flows, func(f FlowMeasured) bool { return f.Name == b.Flow })
		}
		if !slices.ContainsFunc(loads, has) {
			return "the load has no flow " + b.Flow
		}
	}
	return ""
}
