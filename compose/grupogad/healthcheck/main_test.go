package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			http.Error(w, "redis is gone", http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	gone := httptest.NewServer(nil)
	gone.Close()

	for _, tc := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"answer 200", []string{srv.URL + "/good"}, 0, ""},
		{"answer 503 with its reason", []string{srv.URL + "/bad"}, 1, "redis is gone"},
		{"nobody there", []string{gone.URL}, 1, "refused"},
		{"not a URL", []string{"://"}, 1, "missing protocol scheme"},
		{"no argument", nil, 2, "usage"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var errs strings.Builder
			if got := run(tc.args, &errs); got != tc.code {
				t.Errorf("exit code %d, want %d", got, tc.code)
			}
			if !strings.Contains(errs.String(), tc.says) {
				t.Errorf("said %q, want it to contain %q", errs.String(), tc.says)
			}
		})
	}
}
