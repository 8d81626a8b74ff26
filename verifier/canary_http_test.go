package verifier

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

// fakeAPI is an API over one table, served by as many instances as are asked for.
type fakeAPI struct {
	mu     sync.Mutex
	next   int
	notes  map[int]string
	logins int
	seen   map[string]int                                    // requests by method
	before func(w http.ResponseWriter, r *http.Request) bool // answers itself, and says so
	after  func(w http.ResponseWriter, r *http.Request) bool // the same, once a POST has been carried out
	hide   func(id int) bool                                 // as if it were not there
}

func newFakeAPI() *fakeAPI { return &fakeAPI{next: 1, notes: map[int]string{}, seen: map[string]int{}} }

func (a *fakeAPI) instance(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	return s
}

func (a *fakeAPI) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *fakeAPI) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.notes)
}

func (a *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[r.Method]++
	if r.URL.Path == "/login" {
		a.logins++
		_, _ = io.WriteString(w, `{"access_token": "t`+strconv.Itoa(a.logins)+`"}`)
		return
	}
	if a.logins > 0 && r.Header.Get("Authorization") != "Bearer t"+strconv.Itoa(a.logins) {
		http.Error(w, "who are you", http.StatusUnauthorized)
		return
	}
	if a.before != nil && a.before(w, r) {
		return
	}
	id, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/notes/"))
	_, there := a.notes[id]
	there = there && (a.hide == nil || !a.hide(id))
	switch {
	case r.Method == http.MethodPost:
		var in struct{ Text string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		id, a.next = a.next, a.next+1
		a.notes[id] = in.Text
		if a.after == nil || !a.after(w, r) {
			fmt.Fprintf(w, `{"data": {"id": %d}}`, id)
		}
	case r.URL.Path == "/notes/":
		a.list(w, r)
	case !there:
		http.NotFound(w, r)
	case r.Method == http.MethodDelete:
		delete(a.notes, id)
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"id": id, "text": a.notes[id]})
	}
}

func (a *fakeAPI) list(w http.ResponseWriter, r *http.Request) {
	skip, _ := strconv.Atoi(r.URL.Query().Get("skip"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	items := []map[string]any{}
	for id := 1; id < a.next; id++ {
		if text, ok := a.notes[id]; ok && (a.hide == nil || !a.hide(id)) {
			items = append(items, map[string]any{"id": id, "text": text})
		}
	}
	items = items[min(skip, len(items)):]
	_ = json.NewEncoder(w).Encode(map[string]any{"notes": items[:min(limit, len(items))]})
}

func (a *fakeAPI) canary(t *testing.T, lists bool, files *memSamples, change func(*drills.CanarySpec)) *Canary {
	t.Helper()
	one, two := a.instance(t), a.instance(t)
	spec := drills.CanarySpec{
		Kind: "http", Every: ms(5), Timeout: ms(150), Purge: true,
		Write:  &drills.HTTPWrite{URL: one.URL + "/notes/", Body: `{"text": "{value}", "code": "{key}"}`, ID: "data.id"},
		Remove: &drills.HTTPRemove{URL: "http://{member}/notes/{id}"},
		Read:   &drills.HTTPRead{URL: "http://{member}/notes/{id}", Value: "text"},
	}
	if lists {
		spec.Read = nil
		spec.List = &drills.HTTPList{URL: "http://{member}/notes/?skip={skip}&limit={limit}", Items: "notes", ID: "id", Value: "text", Limit: 7}
	}
	for _, s := range []*httptest.Server{one, two} {
		spec.Members = append(spec.Members, strings.TrimPrefix(s.URL, "http://"))
	}
	if change != nil {
		change(&spec)
	}
	return NewCanary(CanaryConfig{Name: "notes", Run: "run-1", Launcher: &inProcess{t: t}, Samples: files, Spec: spec})
}

func begun(t *testing.T, c *Canary) {
	t.Helper()
	if err := c.Start(t.Context(), func(drills.Event) {}); err != nil {
		t.Fatal(err)
	}
}

// What becomes of acknowledged records is told apart over every instance, by listing and record by record; strangers'
// records are neither counted nor touched.
func TestHTTPCanaryTellsFatesApart(t *testing.T) {
	t.Parallel()
	for _, lists := range []bool{true, false} {
		t.Run(map[bool]string{true: "list", false: "one by one"}[lists], func(t *testing.T) {
			t.Parallel()
			a, files := newFakeAPI(), newMemSamples()
			a.notes[1], a.next = "a stranger's", 2
			c := a.canary(t, lists, files, nil)
			begun(t, c)
			eventually(t, "some records", func() bool { return a.count() > 25 })
			a.set(func() {
				delete(a.notes, 8)
				delete(a.notes, 9)
				a.notes[12] += "x"
				a.notes[13] = "something else"
				a.notes[a.next] = a.notes[14] // twice
				a.notes[a.next+1] = "77777 run-1 5 feed"
				a.notes[a.next+2] = "3 run-2 5 feed"
				a.next += 3
			})
			if err := c.ReadBack(t.Context(), drills.Timing{}); err != nil {
				t.Fatal(err)
			}
			m := finished(t, c, drills.Timing{})
			want := [5]int{2, 2, 1, 1, m.Acked - 4} // lost, corrupt, duplicated, phantom, survived
			if !lists {
				want[2], want[3] = 0, 0 // cannot be seen record by record
			}
			if got := [5]int{m.Lost, m.Corrupt, m.Duplicated, m.Phantom, m.Survived}; m.Error != "" || got != want || len(m.Members) != 2 || m.Members[1].Found != m.Survived {
				t.Errorf("lost, corrupt, duplicated, phantom, survived %v, want %v: %+v", got, want, m)
			}
			left := 2 // the strangers'
			if !lists {
				left += 2
			}
			if !m.Purged || a.count() != left || a.notes[1] != "a stranger's" {
				t.Errorf("purged %v %q, left %v", m.Purged, m.PurgeProof, a.notes)
			}
			if m.Positions == nil || m.Positions.NewestAcked == "" {
				t.Errorf("ids were not kept: %+v", m.Positions)
			}
			again, err := MeasureCanary(bytes.NewReader(files.bytes(m.Raw)), drills.Timing{})
			again.Raw = m.Raw
			if diff := cmp.Diff(m, again); err != nil || diff != "" {
				t.Errorf("recomputed: %v\n%s", err, diff)
			}
		})
	}
}

// hangUp breaks the connection instead of answering.
func hangUp(w http.ResponseWriter, _ *http.Request) bool {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

func answering(status int, head ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		if len(head) > 0 {
			w.Header().Set(head[0], head[1])
		}
		w.WriteHeader(status)
		return true
	}
}

// A write that was carried out and not acknowledged is found by listing, and purged; it is never lost, whatever kept the
// answer. A refusal is one, and a rate limit is neither.
func TestHTTPCanaryOutcomes(t *testing.T) {
	t.Parallel()
	only := func(f func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool { return r.Method == http.MethodPost && f(w, r) }
	}
	type counts struct{ failed, indeterminate, throttled bool }
	for name, c := range map[string]struct {
		before, after func(http.ResponseWriter, *http.Request) bool
		want          counts
	}{
		"cut after it was done":   {nil, hangUp, counts{indeterminate: true}},
		"cut before it was done":  {only(hangUp), nil, counts{indeterminate: true}},
		"500 after it was done":   {nil, answering(500), counts{indeterminate: true}},
		"503":                     {only(answering(503, "Retry-After", "1")), nil, counts{indeterminate: true}},
		"an answer without an id": {nil, func(w http.ResponseWriter, _ *http.Request) bool { _, _ = io.WriteString(w, "{}"); return true }, counts{indeterminate: true}},
		"409":                     {only(answering(409)), nil, counts{failed: true}},
		"422":                     {only(answering(422)), nil, counts{failed: true}},
		"429":                     {only(answering(429, "Retry-After", "1")), nil, counts{throttled: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newFakeAPI()
			cn := a.canary(t, true, newMemSamples(), nil)
			begun(t, cn)
			eventually(t, "some records", func() bool { return a.count() > 10 })
			n := 0
			a.set(func() { a.before, a.after, n = c.before, c.after, a.seen["POST"] })
			eventually(t, "trouble", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.seen["POST"] > n+5 })
			a.set(func() { a.before, a.after = nil, nil })
			eventually(t, "more records", func() bool { return a.count() > 30 })
			if err := cn.ReadBack(t.Context(), drills.Timing{}); err != nil {
				t.Fatal(err)
			}
			m := finished(t, cn, drills.Timing{})
			got := counts{m.Failed > 0, m.Indeterminate > 0, m.Throttled > 0}
			if got != c.want || m.Lost+m.Corrupt+m.Phantom+m.Duplicated != 0 || m.Survived != m.Acked || !m.Purged || a.count() != 0 {
				t.Errorf("%+v, want %+v; %d left: %+v", got, c.want, a.count(), m)
			}
		})
	}
}

// A trial write that was carried out and never acknowledged is made again; its record is no phantom, and is purged with the rest.
func TestHTTPCanaryTrialWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	a := newFakeAPI()
	first := true
	a.after = func(w http.ResponseWriter, r *http.Request) bool {
		if !first || r.Method != http.MethodPost {
			return false
		}
		first = false
		return answering(500)(w, r)
	}
	cn := a.canary(t, true, newMemSamples(), nil)
	begun(t, cn)
	eventually(t, "some records", func() bool { return a.count() > 10 })
	if err := cn.ReadBack(t.Context(), drills.Timing{}); err != nil {
		t.Fatal(err)
	}
	if m := finished(t, cn, drills.Timing{}); first || m.Phantom != 0 || m.Survived != m.Acked || !m.Purged || a.count() != 0 {
		t.Errorf("%d left: %+v", a.count(), m)
	}
}

// Silence is indeterminate; a port where nobody listens is a refusal.
func TestHTTPCanarySilenceAndRefusal(t *testing.T) {
	t.Parallel()
	a := newFakeAPI()
	var one *httptest.Server
	c := a.canary(t, true, newMemSamples(), func(s *drills.CanarySpec) {
		one = a.instance(t)
		s.Write.URL, s.Connection = one.URL+"/notes/", "fresh"
	})
	begun(t, c)
	eventually(t, "some records", func() bool { return a.count() > 10 })
	a.mu.Lock()
	wait(t, 200*time.Millisecond)
	a.mu.Unlock()
	before := a.count()
	eventually(t, "records again", func() bool { return a.count() > before+5 })
	one.CloseClientConnections()
	one.Close()
	wait(t, 100*time.Millisecond)
	if err := c.ReadBack(t.Context(), drills.Timing{}); err != nil {
		t.Fatal(err)
	}
	if m := finished(t, c, drills.Timing{}); m.Indeterminate == 0 || m.Failed < 5 || m.Lost != 0 || m.Survived != m.Acked || !m.Purged || a.count() != 0 {
		t.Errorf("%+v, %d left", m, a.count())
	}
}

// Reading back and purging keep to a rate limit, and log in again when the token is refused.
func TestHTTPCanaryPurgesUnderARateLimit(t *testing.T) {
	t.Parallel()
	a := newFakeAPI()
	c := a.canary(t, true, newMemSamples(), func(s *drills.CanarySpec) {
		s.Login = &drills.Login{URL: strings.TrimSuffix(s.Write.URL, "/notes/") + "/login", Username: "u", Password: "p"}
	})
	begun(t, c)
	eventually(t, "some records", func() bool { return a.count() > 10 })
	refused := 0
	a.set(func() {
		a.logins++ // every token so far is worthless
		a.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodDelete && refused < 1 {
				refused++
				return answering(429, "Retry-After", "1")(w, r)
			}
			return false
		}
	})
	if err := c.ReadBack(t.Context(), drills.Timing{}); err != nil {
		t.Fatal(err)
	}
	if m := finished(t, c, drills.Timing{}); m.Error != "" || m.Survived != m.Acked || !m.Purged || refused != 1 || a.count() != 0 {
		t.Errorf("refused %d times: %+v, %d left", refused, m, a.count())
	}
}

// An instance that does not show a record does not lose it, and the report says what each one showed.
func TestHTTPCanaryStaleInstance(t *testing.T) {
	t.Parallel()
	a, stale := newFakeAPI(), newFakeAPI()
	c := a.canary(t, true, newMemSamples(), func(s *drills.CanarySpec) {
		s.Members[1] = strings.TrimPrefix(stale.instance(t).URL, "http://")
	})
	begun(t, c)
	eventually(t, "some records", func() bool { return a.count() > 10 })
	if err := c.ReadBack(t.Context(), drills.Timing{}); err != nil {
		t.Fatal(err)
	}
	m := finished(t, c, drills.Timing{})
	if m.Lost != 0 || m.Members[0].Found != m.Acked || m.Members[1].Found != 0 {
		t.Errorf("%+v", m)
	}
}

func TestHTTPCanaryThatCannotWrite(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*fakeAPI, *drills.CanarySpec){
		"forbidden": func(a *fakeAPI, _ *drills.CanarySpec) { a.before = answering(403) },
		"no purging": func(a *fakeAPI, _ *drills.CanarySpec) {
			a.before = func(w http.ResponseWriter, r *http.Request) bool { return r.Method == "DELETE" && answering(405)(w, r) }
		},
		"no value": func(_ *fakeAPI, s *drills.CanarySpec) {
			s.Write = &drills.HTTPWrite{URL: s.Write.URL, Body: "{}", ID: "id"}
		},
	} {
		a := newFakeAPI()
		c := a.canary(t, true, newMemSamples(), func(s *drills.CanarySpec) { change(a, s) })
		if err := c.Start(t.Context(), func(drills.Event) {}); err == nil {
			t.Errorf("%s: it started", name)
		}
	}
}

func TestHTTPCanaryOrphaned(t *testing.T) {
	t.Parallel()
	a := newFakeAPI()
	c := a.canary(t, true, newMemSamples(), nil)
	begun(t, c)
	eventually(t, "some records", func() bool { return a.count() > 10 })
	_ = c.agent.close(context.WithoutCancel(t.Context()))
	if a.count() != 0 {
		t.Errorf("%d left behind", a.count())
	}
	_ = finished(t, c, drills.Timing{})
}

func TestTextAt(t *testing.T) {
	t.Parallel()
	doc := []byte(`{"id": 12345678901234567890, "data": {"id": "x", "n": 1.5}, "none": null, "list": [1], "empty": ""}`)
	var got []string
	for _, path := range []string{"id", "data.id", "data.n", "none", "list", "empty", "data", "data.id.x", "no"} {
		v, ok := textAt(doc, path)
		got = append(got, fmt.Sprint(v, ok))
	}
	want := []string{"12345678901234567890true", "xtrue", "1.5true", "false", "false", "false", "false", "false", "false"}
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], " ", "")
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
