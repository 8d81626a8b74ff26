package faultlab

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments"
)

// TestARestartEndsANetworkFaultAndItIsSaid: the fault is gone with the namespace, and a recovery after it must not count as
// one under the fault.
func TestARestartEndsANetworkFaultAndItIsSaid(t *testing.T) {
	l := newLab(t, false)
	told := make(chan string, 1)
	network := experiments.NewNet(l.e.Launcher(l.run), nil, func(_, why string) { told <- why })
	t.Cleanup(func() { _ = network.Close(context.Background()) })
	m := l.member("api", []string{"serve"})
	raw := `{"mark":"restarted","seed":1,"direction":"out","latency":{"delay":"10ms"},"prove":"10ms"}`
	op := drills.Op{ID: "x", Verb: "net.latency", Target: m.ID, Args: []byte(raw)}
	if _, err := network.Apply(t.Context(), op); err != nil {
		t.Fatal(err)
	}
	if there, err := network.Present(t.Context(), op); err != nil || !there {
		t.Fatalf("present %v, %v", there, err)
	}
	l.docker("restart", "-t", "1", m.ID)
	select {
	case why := <-told:
		if !strings.Contains(why, "stopped or restarted") {
			t.Errorf("told %q", why)
		}
	case <-time.After(30 * time.Second):
		t.Error("nobody was told")
	}
	if there, err := network.Present(t.Context(), op); err != nil || there {
		t.Errorf("present in the new namespace: %v, %v", there, err)
	}
}
