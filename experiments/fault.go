package experiments

import (
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// kindOf makes a registry entry. blank returns the fault with its defaults; what the drill file says is decoded over
// them, strictly, and then checked by the fault's Validate, if it has one.
func kindOf[F drills.Fault](info drills.Info, blank func() F) drills.Kind {
	return drills.Kind{Info: info, New: func(decode drills.Decode) (drills.Fault, error) {
		f := blank()
		if decode != nil {
			if err := decode(f); err != nil {
				return nil, err
			}
		}
		if v, ok := any(f).(interface{ Validate() error }); ok {
			if err := v.Validate(); err != nil {
				return nil, err
			}
		}
		return f, nil
	}}
}

// plan is what a fault does to each of its targets; the engine fills in ids.
type plan struct {
	class    drills.Class
	do, undo string
	doArgs   any
	undoArgs func(drills.Member) any // nil: none
	note     string
}

// each plans one change per target. A target that is not running is refused: the fault would prove nothing.
func each(s drills.Scene, p plan) ([]drills.Change, error) {
	var out []drills.Change
	for _, m := range s.Targets {
		if err := running(m); err != nil {
			return nil, err
		}
		var undoArgs any
		if p.undoArgs != nil {
			undoArgs = p.undoArgs(m)
		}
		c, err := change(s, m, p, p.doArgs, undoArgs)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func change(s drills.Scene, m drills.Member, p plan, doArgs, undoArgs any) (drills.Change, error) {
	c := drills.Change{Step: s.Step, Class: p.class, Member: m.Name, Note: p.note, Duration: drills.Duration(s.Duration.D())}
	var err error
	if c.Do, err = drills.NewOp(p.do, m.ID, doArgs); err != nil || p.undo == "" {
		return c, err
	}
	c.Undo, err = drills.NewOp(p.undo, m.ID, undoArgs)
	return c, err
}

// running refuses a member that no fault can be seen on.
func running(m drills.Member) error {
	if m.State == "running" {
		return nil
	}
	return drills.Errorf(drills.Blocked, "bring it up before the drill", "%s is %s, not running", m.Name, m.State)
}

// sinceStart makes an undo conditional: it is skipped when somebody has started or replaced the member since.
type sinceStart struct {
	StartedAt time.Time `json:"started_at"`
}

func startedAt(m drills.Member) any { return sinceStart{StartedAt: m.StartedAt} }

// needDuration refuses a step without a duration; why says what the fault would do without one.
func needDuration(s drills.Scene, why string) error {
	if s.Duration > 0 {
		return nil
	}
	return drills.Errorf(drills.Input, "add for example `duration: 30s` to the step", "%s, so the step needs a duration", why)
}

// noDuration refuses a duration that would do nothing.
func noDuration(s drills.Scene, what string) error {
	if s.Duration == 0 {
		return nil
	}
	return drills.Errorf(drills.Input, "remove `duration` from the step", "%s happens once and has no duration", what)
}

// mark names what one change made, so that its undo finds it whichever process runs it, and tells apart the same act in two
// runs: letters, digits and _ only, because it becomes part of a table's name.
func mark(s drills.Scene, m drills.Member) string {
	clean := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}
	full := strings.Trim(strings.Map(clean, s.Run+"_"+s.Step+"_"+m.Name), "_")
	return full[max(0, len(full)-150):]
}
