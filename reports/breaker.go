package reports

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/eevans-d/simulacro/drills"
)

// breakerRow is one breaker of one instance since the fault.
type breakerRow struct {
	drills.BreakerMeasured
	Life     string // what it did, in words
	Calls    int    // let through
	Failures int
	Rejected int
	Waited   string // time spent in calls
}

// breakerRows sums what each breaker did from T0 on.
func breakerRows(r drills.Record) []breakerRow {
	var out []breakerRow
	for _, b := range r.Breakers {
		row := breakerRow{BreakerMeasured: b}
		var waited float64
		opened, changes := 0, 0
		for i, s := range b.Spans {
			if r.Times.T0 == nil || (i+1 < len(b.Spans) && b.Spans[i+1].Enter.To.Before(r.Times.T0.From)) {
				continue
			}
			row.Calls, row.Failures, row.Rejected = row.Calls+s.Calls, row.Failures+s.Failures, row.Rejected+s.Rejected
			waited += s.Waited
			if i > 0 && b.Spans[i-1].State == drills.BreakerClosed && s.State != drills.BreakerClosed {
				row.Life += breakerStep(&opened, "opened ", after(r, s.Enter))
			}
			if i > 0 && s.State == drills.BreakerClosed {
				row.Life += breakerStep(&changes, "closed ", after(r, s.Enter))
			}
		}
		row.Life = strings.TrimSuffix(row.Life, "; ")
		row.Waited = fmt.Sprintf("%.1f s", waited)
		switch {
		case b.Error != "":
			row.Life = "not known: " + b.Error
		case row.Life == "" && len(b.Spans) > 0:
			row.Life = string(b.Spans[len(b.Spans)-1].State) + " all the time"
		}
		if b.Unseen > 0 {
			row.Life += fmt.Sprintf("; %d more openings between readings", b.Unseen)
		}
		out = append(out, row)
	}
	return out
}

// breakerStep keeps a breaker that flaps on one line: its first three steps of a kind are told.
func breakerStep(n *int, what, when string) string {
	const most = 3
	*n++
	switch {
	case *n > most+1:
		return ""
	case *n > most:
		return "…; "
	}
	return what + when + "; "
}

func breakerSource(b drills.BreakerMeasured) string {
	return fmt.Sprintf("%s, %d readings at most %s apart", b.Source, b.Readings, b.Largest.D().Round(time.Millisecond))
}

func textBreakers(b *bytes.Buffer, r drills.Record) {
	rows := breakerRows(r)
	if len(rows) == 0 {
		return
	}
	t := columns()
	for _, x := range rows {
		t.AppendRow(table.Row{
			x.Name, x.Instance, x.Life, fmt.Sprintf("%d called, %d failed, %d spared", x.Calls, x.Failures, x.Rejected),
			x.Waited + " in calls", breakerSource(x.BreakerMeasured),
		})
	}
	put(b, "Circuit breakers since T0", t)
}
