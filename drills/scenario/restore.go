package scenario

import (
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// restore checks what is expected of a restore step.
func (r *drillReader) restore(x *drills.RestoreExpect) {
	const path = "expect.restore"
	steps := []string{}
	for _, s := range r.drill.Method {
		verbs := r.kinds[s.Fault].Info.Verbs
		if slices.ContainsFunc(verbs, func(v string) bool { return strings.HasPrefix(v, "restore.") }) {
			steps = append(steps, s.ID)
		}
	}
	if x.Step == "" && len(steps) == 1 {
		x.Step = steps[0]
	}
	if r.required(path+".step", x.Step != "", "the id of the step that restores a backup") {
		r.known(path+".step", "restore step", x.Step, steps)
	}
	r.needed(path+".within", x.Within, "such as 15m, from the beginning of the restore to the last check")
	r.positive(path+".recovery-point", x.RecoveryPoint)
	r.positive(path+".instant", x.Instant)
	if x.Checks == "" {
		x.Checks = "all"
	}
	r.known(path+".checks", "value", x.Checks, []string{"all"})
}
