package reports

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// TestSilentClientsAreReported: what became of them stands in the text and on the page.
func TestSilentClientsAreReported(t *testing.T) {
	t.Parallel()
	q := drills.QuietClients{
		Kind: drills.HalfOpenClients, Silent: 7, Ended: 5, Held: 2, Unanswered: 99, Ends: []drills.CountedText{{Text: "connection reset by peer", Count: 5}},
		First: drills.Span{Lo: drills.Duration(time.Second), Hi: drills.Duration(2 * time.Second)},
	}
	r := drills.Record{Load: []drills.LoadMeasured{{Step: "gone", Wanted: 7, Connected: 7, Quiet: &q}}}
	for name, report := range map[string]func(*bytes.Buffer) error{
		"text": func(b *bytes.Buffer) error { return Text(b, r) },
		"HTML": func(b *bytes.Buffer) error { return HTML(b, r) },
	} {
		var b bytes.Buffer
		if err := report(&b); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"7 half-open sockets: 5 ended by the target, 2 still held; the first ended after 1.000–2.000 s", "99 segments unanswered", "5 × connection reset by peer"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s does not say %q", name, want)
			}
		}
	}
}
