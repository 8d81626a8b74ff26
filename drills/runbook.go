package drills

import (
	"fmt"
	"slices"
	"time"
)

// RunbookMeasured is a runbook as far as it has been carried out. It is journaled whole at every change, so that a crash loses
// nothing of it.
type RunbookMeasured struct {
	Step  string        `json:"step"`
	Title string        `json:"title"`
	Items []RunbookItem `json:"items"`
	Over  bool          `json:"over"`            // nothing more will happen
	Error string        `json:"error,omitempty"` // it was ended before it was over
}

// RunbookItem is one thing to do: by a person, who confirms it by name, or by a command.
type RunbookItem struct {
	Text    string    `json:"text"`
	By      string    `json:"by,omitempty"` // who is meant to do it
	Command []string  `json:"command,omitempty"`
	Within  Duration  `json:"within"`
	Shown   time.Time `json:"shown,omitzero"`
	Done    time.Time `json:"done,omitzero"`  // confirmed, or the command has ended
	Who     string    `json:"who,omitempty"`  // who confirmed it
	Said    string    `json:"said,omitempty"` // last line of the command
	Failed  string    `json:"failed,omitempty"`
}

// Waiting is the item that a person is to confirm now.
func (m RunbookMeasured) Waiting() (int, bool) {
	i := slices.IndexFunc(m.Items, func(x RunbookItem) bool {
		return len(x.Command) == 0 && !x.Shown.IsZero() && x.Done.IsZero() && x.Failed == ""
	})
	return i, i >= 0 && !m.Over
}

// Needs are the things outside the tool that a step refers to. They are looked for before anything is broken.
type Needs struct {
	Files    []string // relative to the system file's folder; a bare name is a command of the PATH
	Services []string // of the system
	URLs     []string // that must answer
}

// Needer is a fault that refers to things outside.
type Needer interface {
	Needs() Needs
}

func (f *folder) runbook(m RunbookMeasured) {
	i := slices.IndexFunc(f.rec.Runbooks, func(x RunbookMeasured) bool { return x.Step == m.Step })
	if i < 0 {
		f.rec.Runbooks = append(f.rec.Runbooks, m)
		return
	}
	f.rec.Runbooks[i] = m
}

// firstAct is when a runbook first did something: T3, the activation by a person.
func (f *folder) firstAct() *Stamp {
	var best *Stamp
	for _, m := range f.rec.Runbooks {
		for _, x := range m.Items {
			at := x.Done
			if len(x.Command) > 0 {
				at = x.Shown
			}
			if !at.IsZero() && (best == nil || at.Before(best.From)) {
				best = &Stamp{Interval: At(at), Source: "runbook " + m.Step}
			}
		}
	}
	return best
}

// judgeRunbooks judges every runbook that was begun: all of it done, and each part in its time.
func (f *folder) judgeRunbooks(now time.Time) []Judged {
	var out []Judged
	for _, x := range f.rec.Faults {
		if x.Change.Do.Prefix() != "runbook" || x.Effect == nil {
			continue
		}
		j := Judged{ID: "runbook:" + x.Change.Step, Title: "the runbook is carried out", Target: "every step in its time", Cause: "runbook", Source: "drill " + f.drill.Name}
		i := slices.IndexFunc(f.rec.Runbooks, func(m RunbookMeasured) bool { return m.Step == x.Change.Step })
		if i < 0 {
			j.Verdict, j.Actual = NotMeasured, "not begun"
		} else {
			f.rec.Runbooks[i].judge(&j)
		}
		if !now.IsZero() && (i < 0 || !f.rec.Runbooks[i].Over) {
			j.Verdict, j.Actual = Pending, "not decided yet"
		}
		out = append(out, j)
	}
	return out
}

func (m RunbookMeasured) judge(j *Judged) {
	done := 0
	j.Title, j.Verdict = fmt.Sprintf("the runbook %q is carried out", m.Title), Met
	for i, x := range m.Items {
		switch {
		case x.Failed != "":
			j.Verdict, j.Why = NotMet, fmt.Sprintf("Step %d of the runbook, %q, failed: %s", i+1, x.Text, x.Failed)
		case !x.Done.IsZero():
			done++
		}
	}
	j.Actual = fmt.Sprintf("%d of %d steps done", done, len(m.Items))
	if n := len(m.Items); n > 0 && !m.Items[n-1].Done.IsZero() {
		j.Actual += " after " + m.Items[n-1].Done.Sub(m.Items[0].Shown).Round(time.Millisecond).String()
	}
	if j.Verdict == Met && done < len(m.Items) {
		j.Verdict, j.Why = NotMeasured, orText(m.Error, "it was not carried out to its end")
	}
}
