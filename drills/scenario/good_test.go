package scenario

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

func TestSystemDefaults(t *testing.T) {
	s := goodSystem(t)
	type row struct {
		Name      string
		Got, Want any
	}
	ms := func(n int) drills.Duration { return drills.Duration(time.Duration(n) * time.Millisecond) }
	for _, r := range []row{
		{"probe every", s.Probes["page"].Every, ms(50)},
		{"probe every as given", s.Probes["cache"].Every, ms(100)},
		{"probe timeout", s.Probes["page"].Timeout, ms(250)},
		{"probe timeout as given", s.Probes["cache"].Timeout, ms(1000)},
		{"http method", s.Probes["page"].Method, "GET"},
		{"redis via", s.Probes["cache"].Via, "direct"},
		{"redis operation", s.Probes["store"].Operation, "write"},
		{"login field", s.Probes["push"].Login.Field, "access_token"},
		{"ca beside the system file", s.Probes["page"].TLS.CA, filepath.Join("testdata", "good", "ca.pem")},
		{"canary every", s.Canaries["store-app"].Every, ms(20)},
		{"canary timeout", s.Canaries["store-app"].Timeout, ms(500)},
		{"canary connection", s.Canaries["store-app"].Connection, "persistent"},
		{"api canary every", s.Canaries["orders"].Every, ms(1000)},
		{"api canary timeout", s.Canaries["orders"].Timeout, ms(2000)},
		{"api canary methods", s.Canaries["orders"].Write.Method + s.Canaries["orders"].Remove.Method, "POSTDELETE"},
		{"api canary page", s.Canaries["orders"].List.Limit, 100},
		{"fan-out canary", []any{s.Canaries["news"].Every, s.Canaries["news"].Timeout, s.Canaries["news"].Clients}, []any{ms(100), ms(2000), 2}},
		{"a probe from several places", s.Series("door"), []string{"door@host", "door@office", "door@shop"}},
		{"each from its own", []drills.From{s.Probes["door@host"].From, s.Probes["door@office"].From}, []drills.From{{Host: true}, {Network: "office"}}},
		{"each as declared", s.Probes["door@office"].Address, "proxy:8443"},
		{"a list of one place", s.Probes["gate"].From, drills.From{Host: true}},
		{"recovered means all of them", s.Components["web"].RecoveredMeans, []string{"page", "door@host", "door@office", "door@shop"}},
		{"component name", s.Components["store"].Name, "store"},
		{"sentinel data port", s.Components["store"].Roles.Port, 6379},
		{"patroni ports", [2]int{s.Components["ledger"].Roles.Port, s.Components["ledger"].Roles.RESTPort}, [2]int{5432, 8008}},
		{"concurrent faults", s.Limits.ConcurrentFaults, 1},
		{"references stay", s.Probes["store"].Password, "${env:REDIS_PASSWORD}"},
		{"profile", s.ObjectivesOf("store", "ci").RTO, ms(30_000)},
		{"file", s.File, "testdata/good/system.yaml"},
	} {
		if !cmp.Equal(r.Got, r.Want) {
			t.Errorf("%s: got %v, want %v", r.Name, r.Got, r.Want)
		}
	}
	b, err := os.ReadFile(s.File)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(b); s.Digest != hex.EncodeToString(sum[:]) {
		t.Errorf("digest %s", s.Digest)
	}
}

// A drill that names a probe means all its places where every one counts, and has to name one where one is judged.
func TestDrillWithVantages(t *testing.T) {
	const drill = `version: 1
drill: d
title: t
hypothesis: h
component: web
environments: [staging]
steady-state: {probes: {door: ">= 90%", "door@host": ">= 99%"}}
method: [{id: kill, fault: pause, target: {component: store, role: primary}, duration: 15s}]
recovery: {while: any, probes: [door]}
expect: {during: [{title: x, probe: "door@shop", window: [T0, T8], success: ">= 99%"}]}
stop-conditions: [{probe: {name: "door@office", bad: 10m}}]
`
	d, err := parseDrill("d.yaml", []byte(drill), fakeKinds(), goodSystem(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"door@host", "door@office", "door@shop"}, d.Recovery.Probes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]drills.Share{"door@host": 0.99, "door@office": 0.9, "door@shop": 0.9}, d.SteadyState.Probes); diff != "" {
		t.Error(diff)
	}
}

func TestDrill(t *testing.T) {
	d, err := LoadDrill("testdata/good/drill.yaml", fakeKinds(), goodSystem(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	sec := func(n int) drills.Duration { return drills.Duration(time.Duration(n) * time.Second) }
	if d.SteadyState.For != sec(10) || !cmp.Equal(d.SteadyState.Probes, map[string]drills.Share{"store": 0.99, "page": 0.99}) {
		t.Errorf("steady state %+v", d.SteadyState)
	}
	want := drills.Recovery{While: drills.AnyTime, For: sec(5), Probes: []string{"store", "page"}, Limit: sec(120)}
	if diff := cmp.Diff(want, d.Recovery); diff != "" {
		t.Errorf("recovery -want +got\n%s", diff)
	}
	req := []drills.Requirement{
		{Component: "store", Conditions: map[string]string{"replicas": ">= 2", "lag": "< 1s", "quorum": "ok", "running": ">=3"}},
		{AlertsFiring: "none"},
	}
	if diff := cmp.Diff(req, d.Require); diff != "" {
		t.Errorf("require -want +got\n%s", diff)
	}
	if d.Expect.Loss[0].MaxWrites == nil || *d.Expect.Loss[0].MaxWrites != 0 {
		t.Error("max-writes: 0 is a bound, not the absence of one")
	}
	if d.Expect.During[1].NoData != "inconclusive" || d.Expect.During[0].Success != 0.99 || d.Expect.RoleMoved.While != drills.AnyTime {
		t.Errorf("expect %+v", d.Expect)
	}
	if c := d.Expect.Contract; c.Window != [2]string{"T0", "lift"} || c.Others != "finding" || c.Answers[0].Honest != 0.99 || c.Answers[0].Success != 0.5 {
		t.Errorf("contract %+v", c)
	}
	cut := d.Method[0]
	p, ok := cut.Plan.(fakeFault).params.(partitionParams)
	if !ok || len(p.From) != 2 || p.From[0].Role != "replica" || p.Every.D() != 20*time.Millisecond {
		t.Errorf("the fault got %+v", cut.Plan)
	}
	if d.Method[1].Seed != 7 || d.Method[1].Target.Pick != "50%" || d.Method[1].At != sec(30) {
		t.Errorf("step %+v", d.Method[1])
	}
}

// TestParametersForReports: what a step's parameters look like in the record, defaults included, under their file names.
func TestParametersForReports(t *testing.T) {
	d, err := LoadDrill("testdata/good/drill.yaml", fakeKinds(), goodSystem(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range d.Method {
		b, err := json.Marshal(s.With)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(b))
	}
	want := []string{
		`{"every":"20ms","from":[{"component":"store","pick":"all","role":"replica"},{"component":"sentinel"}]}`,
		`{"as":"stop"}`,
		`{"connections":5000,"extra":{"a":[1,"x"]},"rate":2.5,"share":0.995}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestCalendar(t *testing.T) {
	c, err := LoadCalendar("testdata/good/calendar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := drills.Entry{
		Name: "web", Cron: "*/15 * * * 1-5", TimeZone: "UTC", Drill: "member-kill", Component: "web", Profile: "ci",
		Missed: drills.Skip, Grace: drills.Duration(time.Hour),
	}
	if diff := cmp.Diff(want, c.Entries[1]); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := c.Blackouts[0].From.UTC().Format(time.RFC3339); got != "2026-12-24T15:00:00Z" {
		t.Errorf("blackout from %s", got)
	}
}

// TestDrillWithoutSystem: a drill can be validated alone; what only a system knows is then not checked.
func TestDrillWithoutSystem(t *testing.T) {
	d, err := LoadDrill("testdata/good/drill.yaml", fakeKinds(), nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Recovery.Probes) != 0 || len(d.SteadyState.Probes) != 0 {
		t.Errorf("probes from nowhere: %v %v", d.Recovery.Probes, d.SteadyState.Probes)
	}
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("drills/own.yaml", "own")
	write("drills/both.yaml", "beside the system")
	write("other.yml", "by path")
	sys := &drills.System{File: filepath.Join(dir, "system.yaml")}
	catalog := fstest.MapFS{"both.yaml": {Data: []byte("catalogue")}, "ready.yaml": {Data: []byte("ready")}}
	for _, c := range []struct{ ref, file, content, hint string }{
		{ref: "own", file: filepath.Join(dir, "drills/own.yaml"), content: "own"},
		{ref: "both", file: filepath.Join(dir, "drills/both.yaml"), content: "beside the system"},
		{ref: "ready", file: "catalog/ready.yaml", content: "ready"},
		{ref: filepath.Join(dir, "other.yml"), file: filepath.Join(dir, "other.yml"), content: "by path"},
		{ref: "raedy", hint: "did you mean ready?; a path ends in .yaml"},
		{ref: filepath.Join(dir, "missing.yaml"), hint: "check the path and its permissions"},
		{ref: dir + "/", hint: "name a YAML file"},
	} {
		file, b, err := Resolve(c.ref, sys, catalog)
		if c.hint != "" {
			e, ok := err.(*drills.Error)
			if !ok || e.Hint != c.hint || e.Code != drills.Input {
				t.Errorf("%s: %v", c.ref, err)
			}
			continue
		}
		if err != nil || file != c.file || string(b) != c.content {
			t.Errorf("%s: %s %q %v", c.ref, file, b, err)
		}
	}
	if got := Names(sys, catalog); !cmp.Equal(got, []string{"both", "own", "ready"}) {
		t.Errorf("names %v", got)
	}
}

func TestOnlyGenericDrillsTakeAComponent(t *testing.T) {
	_, err := LoadDrill("testdata/good/drill.yaml", fakeKinds(), goodSystem(t), Options{Component: "web"})
	want := "testdata/good/drill.yaml:5:1: component: this drill is about store, not web (--component is for generic drills)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
