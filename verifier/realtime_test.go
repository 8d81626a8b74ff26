package verifier

import "testing"

// An agent inside another process leaves that process' scheduling alone: two test processes that raised themselves
// starved a machine of two cores.
func TestSharedProcessIsNotRaised(t *testing.T) {
	t.Parallel()
	if r := realtime(t.Context(), true); r.Realtime || r.Why == "" {
		t.Errorf("%+v", r)
	}
	if r := realtime(t.Context(), false); r.Realtime || r.Why != "" {
		t.Errorf("%+v", r)
	}
}
