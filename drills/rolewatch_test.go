package drills_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// brokenOff answers well at first; then it waits for the end of the question and has heard nobody by then.
type brokenOff struct {
	drills.Runtime
	asked int
}

func (b *brokenOff) Topology(ctx context.Context) (drills.Topology, error) {
	b.asked++
	v := drills.RoleView{Component: "redis", Primaries: []string{"a"}, Facts: map[string]drills.Fact{"running": {Number: 3}}}
	if b.asked > 2 {
		<-ctx.Done()
		v = drills.RoleView{Component: "redis", Disagreement: "nobody answered"}
	}
	return drills.Topology{Views: map[string]drills.RoleView{"redis": v}}, nil
}

// TestAReadingThatTheEndBrokeOffIsNone: otherwise every run could end with members missing.
func TestAReadingThatTheEndBrokeOffIsNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got []drills.Event
		w := &drills.RoleWatch{Runtime: &brokenOff{}, Components: []string{"redis"}, Every: time.Second}
		if err := w.Start(t.Context(), func(e drills.Event) { got = append(got, e) }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second) // it is in the middle of the third reading
		if _, err := w.Finish(t.Context(), drills.Timing{}); err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].Role.Disagreement != "" {
			t.Errorf("%d views, the last one %+v", len(got), got[len(got)-1].Role)
		}
	})
}
