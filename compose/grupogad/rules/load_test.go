package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fakePrometheus answers rule-set queries with the bodies in turn, the last one for good, and counts reloads.
func fakePrometheus(t *testing.T, bodies ...string) (url string, reloads *atomic.Int32) {
	t.Helper()
	var asked atomic.Int32
	reloads = new(atomic.Int32)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "POST /-/reload":
			reloads.Add(1)
		case "GET /api/v1/query":
			n := int(asked.Add(1)) - 1
			fmt.Fprint(w, bodies[min(n, len(bodies)-1)])
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, reloads
}

func series(metrics ...string) string {
	for i, m := range metrics {
		metrics[i] = `{"metric":{` + m + `},"value":[0,"1"]}`
	}
	return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(metrics, ",") + `]}}`
}

func TestLoadWaitsForTheChosenRules(t *testing.T) {
	fast, _ := setNamed("fast")
	old, chosen := `"set":"blueprint"`, `"set":"fast","defect":"up-of-exporter"`
	for _, tc := range []struct {
		name   string
		bodies []string
		ok     bool
	}{
		{"at once", []string{series(chosen)}, true},
		{"after the old ones are gone", []string{series(old), series(old, chosen), series(chosen)}, true},
		{"old ones stay", []string{series(old)}, false},
		{"sound instead of spoilt", []string{series(`"set":"fast"`)}, false},
		{"nothing evaluated", []string{series()}, false},
		{"not Prometheus", []string{"hello"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url, reloads := fakePrometheus(t, tc.bodies...)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := load(ctx, choice{fast, []string{upOfExporter}}, url, url)
			if (err == nil) != tc.ok {
				t.Errorf("error %v, want ok %v", err, tc.ok)
			}
			if n := reloads.Load(); n != 2 {
				t.Errorf("%d reloads, want one of each program", n)
			}
		})
	}
}

func TestLoadSaysWhatRefused(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "bad rule file", http.StatusInternalServerError)
	}))
	defer srv.Close()
	fast, _ := setNamed("fast")
	err := load(t.Context(), choice{set: fast}, srv.URL, "")
	if err == nil || !strings.Contains(err.Error(), "bad rule file") {
		t.Errorf("error %v, want the reason of the answer", err)
	}
}
