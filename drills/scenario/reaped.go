package scenario

import (
	"fmt"
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// reaped checks a bound on clients that fall silent: it needs a step that makes them, and one that lasts long enough.
func (r *drillReader) reaped(path string, x drills.ReapedExpect) {
	ids := []string{}
	for i, s := range r.drill.Method {
		ids = append(ids, s.ID)
		if s.ID != x.Step {
			continue
		}
		verbs := r.kinds[s.Fault].Info.Verbs
		if len(verbs) > 0 && !slices.ContainsFunc(verbs, func(v string) bool { return strings.HasPrefix(v, "clients.") }) {
			r.add(path+".step", fmt.Sprintf("step %s (method[%d]) has no clients that fall silent", s.ID, i), "name a step with half-open-sockets, slow-consumers or expired-tokens")
		}
		if s.Duration > 0 && x.Within >= s.Duration {
			r.add(path+".within", fmt.Sprintf("step %s ends after %s, before this is decided", s.ID, s.Duration), "a shorter time, or a longer step")
		}
	}
	if r.required(path+".step", x.Step != "", "the id of the step whose clients fall silent") {
		r.known(path+".step", "step", x.Step, ids)
	}
	r.positive(path+".within", x.Within)
	switch {
	case x.Within == 0 && x.MaxHeld == nil:
		r.add(path, "no bound is given", "within, max-held or both")
	case x.MaxHeld != nil && *x.MaxHeld < 0:
		r.add(path+".max-held", "this cannot be negative", "")
	}
}
