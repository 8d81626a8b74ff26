package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/journal"
)

// progress tells a person what a run is doing: one plain line per thing that happened, and on a terminal a last line that
// says what is waited for.
type progress struct {
	app   *app
	quiet bool
	tty   bool
	began time.Time

	mu     sync.Mutex
	events []drills.Event
	phase  drills.Phase
	quit   chan struct{}
	done   chan struct{}
}

func newProgress(a *app, j job, dir *journal.Run) *progress {
	p := &progress{app: a, quiet: j.quiet, began: time.Now(), quit: make(chan struct{}), done: make(chan struct{})}
	if f, ok := a.stdout.(*os.File); ok && !j.quiet {
		p.tty = term.IsTerminal(int(f.Fd()))
	}
	if !p.quiet {
		a.printf("\n%s — %s\n  run %s\n", j.drill.Name, j.drill.TitleIn(a.language), dir.ID())
	}
	go p.redraw()
	return p
}

// hint prints the one-liner that needs no simulacro.
func (p *progress) hint(oneLiner string) {
	if !p.quiet {
		p.app.printf("  to undo by hand, without simulacro:\n")
		for line := range strings.Lines(oneLiner) {
			p.app.printf("    %s", line)
		}
	}
}

func (p *progress) stop() {
	close(p.quit)
	<-p.done
}

func (p *progress) event(e drills.Event) {
	p.mu.Lock()
	p.events = append(p.events, e)
	if e.Kind == drills.EvPhase {
		p.phase = e.Phase
	}
	p.mu.Unlock()
	if p.quiet {
		return
	}
	if mark, text := describe(e); text != "" {
		p.line(mark, text)
	}
}

func (p *progress) line(mark, text string) {
	clear := ""
	if p.tty {
		clear = "\r\x1b[K"
	}
	p.app.printf("%s  %6.1fs %-2s %s\n", clear, time.Since(p.began).Seconds(), mark, text)
}

// redraw keeps the last line of a terminal.
func (p *progress) redraw() {
	defer close(p.done)
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-p.quit:
			if p.tty {
				p.app.printf("\r\x1b[K")
			}
			return
		case <-ticker.C:
		}
		if p.tty {
			p.status()
		}
	}
}

func (p *progress) status() {
	p.mu.Lock()
	events, phase := p.events[:len(p.events):len(p.events)], p.phase
	p.mu.Unlock()
	text := string(phase)
	if phase == drills.Observing {
		if w := drills.Waiting(events, time.Now()); len(w) > 0 {
			text += " · waiting for " + strings.Join(w, "; ")
		}
	}
	if len(text) > 110 {
		text = text[:107] + "..."
	}
	p.app.printf("\r\x1b[K  %6.1fs    %s", time.Since(p.began).Seconds(), text)
}

// describe is one event in words; "" where a person need not see it.
func describe(e drills.Event) (mark, text string) {
	switch e.Kind {
	case drills.EvPhase:
		return "==", string(e.Phase)
	case drills.EvCheck:
		if !e.Check.OK {
			return "!!", fmt.Sprintf("%s: %s (expected %s)%s", e.Check.Name, e.Check.Actual, e.Check.Expected, hintText(e.Check.Hint))
		}
	case drills.EvApplied:
		return "->", fmt.Sprintf("%s on %s took effect (%s)", e.Change.Fault, e.Change.Member, e.Effect.Source)
	case drills.EvGap:
		return "!!", "a fault ended before we undid it: " + e.Gap.Why
	case drills.EvFailed:
		return "!!", fmt.Sprintf("%s on %s failed: %s", e.Change.Fault, e.Change.Member, e.Text)
	case drills.EvUndone:
		if e.Effect != nil && e.Effect.Skipped != "" {
			return "<-", fmt.Sprintf("%s on %s: nothing to undo, %s", e.Change.Fault, e.Change.Member, e.Effect.Skipped)
		}
		return "<-", fmt.Sprintf("%s on %s undone (%s)", e.Change.Fault, e.Change.Member, e.Text)
	case drills.EvResidue:
		return "!!", fmt.Sprintf("%s on %s could NOT be undone: %s", e.Change.Fault, e.Change.Member, e.Text)
	case drills.EvEdge:
		return "  ", edgeText(*e.Edge)
	case drills.EvAlert:
		return "  ", fmt.Sprintf("alert %s %s", e.Alert.Name, e.Alert.State)
	case drills.EvRole:
		return "  ", roleText(*e.Role)
	case drills.EvFinding:
		return " *", e.Finding.Title
	case drills.EvMeasured:
		if e.Restore != nil {
			return "  ", restoredText(*e.Restore)
		}
	case drills.EvRunbook:
		return runbookText(*e.Runbook)
	case drills.EvStop:
		return "!!", e.Stop.Reason
	case drills.EvNote:
		return "  ", e.Text
	}
	return "", ""
}

func hintText(h string) string {
	if h == "" {
		return ""
	}
	return "; " + h
}

func edgeText(e drills.Edge) string {
	if e.Good {
		return "probe " + e.Probe + " is good"
	}
	return "probe " + e.Probe + " is bad: " + e.Class
}

func roleText(v drills.RoleView) string {
	s := fmt.Sprintf("%s: %d running", v.Component, int(v.Facts["running"].Number))
	if r, ok := v.Facts["replicas"]; ok {
		s += fmt.Sprintf(", %d primary, %d replicas", len(v.Primaries), int(r.Number))
	}
	if v.Disagreement != "" {
		s += " — " + v.Disagreement
	}
	return s
}

func restoredText(m drills.RestoreMeasured) string {
	if !m.Done() {
		return "restore " + m.Step + ": " + m.Why + m.Error
	}
	bad := 0
	for _, c := range m.Checks {
		if !c.OK {
			bad++
		}
	}
	return fmt.Sprintf("restore %s is done after %.1f s, %d of %d checks hold", m.Step, m.Took().D().Seconds(), len(m.Checks)-bad, len(m.Checks))
}

// runbookText is the newest thing that a runbook says: what to do now, or what came of it.
func runbookText(m drills.RunbookMeasured) (mark, text string) {
	if m.Error != "" {
		return "!!", "runbook " + m.Step + ": " + m.Error
	}
	for i := len(m.Items) - 1; i >= 0; i-- {
		x := m.Items[i]
		what := fmt.Sprintf("runbook %s, step %d of %d: %s", m.Step, i+1, len(m.Items), x.Text)
		switch {
		case x.Shown.IsZero():
		case x.Failed != "":
			return "!!", what + " FAILED: " + x.Failed
		case x.Who != "":
			return "ok", what + " confirmed by " + x.Who + " after " + x.Done.Sub(x.Shown).Round(time.Second).String()
		case !x.Done.IsZero():
			return "ok", what + " done in " + x.Done.Sub(x.Shown).Round(time.Millisecond).String()
		case len(x.Command) > 0:
			return ">>", what + " (" + strings.Join(x.Command, " ") + ")"
		default:
			return "??", what + ": a person does this within " + x.Within.String() + ", then: simulacro confirm RUN --by NAME"
		}
	}
	return "", ""
}
