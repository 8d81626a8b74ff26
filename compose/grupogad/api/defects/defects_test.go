package defects_test

import (
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/compose/grupogad/api/defects"
	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		list    string
		want    []defects.Name
		unknown []string
	}{
		"empty is sound":        {"", []defects.Name{}, nil},
		"two, with spaces":      {" readiness-lies, rate-limit-100 ", []defects.Name{defects.RateLimit100, defects.ReadinessLies}, nil},
		"every unknown at once": {"nope,readiness-lies,neither", nil, []string{"nope", "neither"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := defects.Parse(tc.list)
			for _, u := range tc.unknown {
				if err == nil || !strings.Contains(err.Error(), u) {
					t.Errorf("error %v does not name %q", err, u)
				}
			}
			if tc.unknown != nil {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, s.List()); d != "" {
				t.Errorf("on (-want +got):\n%s", d)
			}
		})
	}
}

func TestReplaceTellsAndRefusesWhole(t *testing.T) {
	t.Parallel()
	s, err := defects.Parse("readiness-lies")
	if err != nil {
		t.Fatal(err)
	}
	changed := s.Changed()
	if err := s.Replace([]string{"rate-limit-100", "nope"}); err == nil {
		t.Error("an unknown name was accepted")
	}
	if !s.On(defects.ReadinessLies) || s.On(defects.RateLimit100) {
		t.Errorf("a refused change changed the set to %v", s.List())
	}
	select {
	case <-changed:
		t.Error("a refused change was announced")
	default:
	}
	if err := s.Replace(nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	default:
		t.Error("the change was not announced")
	}
	if s.On(defects.ReadinessLies) {
		t.Error("the defect is still on")
	}
}
