package drills_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/drilltest"
)

// TestTopologyOfManyComponents reads a system of many components, whose views are asked side by side: under -race it shows
// that nothing is written beside a reader, and that every component has its members and roles.
func TestTopologyOfManyComponents(t *testing.T) {
	w := drilltest.NewWorld(time.Second)
	sys := system()
	for i := range 50 {
		c := sys.Components["redis"]
		c.Name = fmt.Sprintf("redis-%d", i)
		sys.Components[c.Name] = c
	}
	m := &drills.Mux{System: sys, Inventory: w, Resolvers: map[string]drills.RoleResolver{"fake": w}, Actuators: map[string]drills.Actuator{"unit": w}}
	for range 20 {
		top, err := m.Topology(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name := range sys.Components {
			if members := top.Of(name); len(members) != 3 || members[0].Role != "primary" || members[1].Role != "replica" {
				t.Fatalf("%s: %+v", name, members)
			}
		}
	}
}
