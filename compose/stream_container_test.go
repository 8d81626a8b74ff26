package compose

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
)

// deafEngine never answers a wait. Its container ends after a while; it removes it by itself, or not.
type deafEngine struct {
	ends    time.Time
	removes bool
	calls   []string
}

func (e *deafEngine) ContainerWait(context.Context, string, container.WaitCondition) (<-chan container.WaitResponse, <-chan error) {
	return make(chan container.WaitResponse), make(chan error)
}

func (e *deafEngine) ContainerInspect(context.Context, string) (container.InspectResponse, error) {
	ended := time.Now().After(e.ends)
	if ended && e.removes {
		return container.InspectResponse{}, errdefs.ErrNotFound
	}
	return container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{State: &container.State{Running: !ended}}}, nil
}

func (e *deafEngine) ContainerKill(context.Context, string, string) error {
	e.calls = append(e.calls, "kill")
	return nil
}

func (e *deafEngine) ContainerRemove(context.Context, string, container.RemoveOptions) error {
	e.calls = append(e.calls, "remove")
	return nil
}

// TestAnEndThatTheEngineDoesNotTell: seen with engine 20.10, where a run waited three minutes for a container that was gone.
func TestAnEndThatTheEngineDoesNotTell(t *testing.T) {
	for _, tt := range []struct {
		name          string
		keep, removes bool
		calls         []string
	}{
		{"removed by the engine", false, true, nil},
		{"ended and not removed", false, false, []string{"remove"}},
		{"ended and to be kept", true, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				e := &deafEngine{ends: begin.Add(5 * time.Second), removes: tt.removes}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := (&containerProcess{api: e, id: "x", keep: tt.keep}).wait(ctx); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took < 5*time.Second || took > 5*time.Second+lookAgain {
					t.Errorf("noticed after %s", took)
				}
				if !slices.Equal(e.calls, tt.calls) {
					t.Errorf("calls %v, want %v", e.calls, tt.calls)
				}
			})
		})
	}
}
