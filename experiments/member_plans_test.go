package experiments

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// sized gives every member limits, and makes the APIs restart by themselves.
func sized(s *drills.Scene) {
	for i := range s.Members {
		s.Members[i].Limits = map[string]int64{
			"memory": 128 << 20, "memory-swap": 192 << 20, "nano-cpus": 1_500_000_000, "nofile-soft": 1024, "open-files": 45, "processes": 7,
		}
		s.Members[i].Policy = "unless-stopped"
	}
	for i, m := range s.Targets {
		full, _ := s.Member(m.ID)
		s.Targets[i].Limits, s.Targets[i].Policy = full.Limits, full.Policy
	}
}

func TestPlansOfMembersAndResources(t *testing.T) {
	since := `{"started_at":"2026-01-02T03:04:05.000000678Z"}`
	const mark = `"mark":"20260102_r1_cut_api_1"`
	release := `{` + mark + `}`
	cases := []struct {
		name, kind, with, target string
		once                     bool
		change                   func(*drills.Scene)
		want                     []string // class member do args undo args
	}{
		{name: "cpu", kind: "cpu-stress", with: `{"load":"90%"}`, target: "api-1", want: []string{
			`undo api-1 resource.cpu {` + mark + `,"cpu":{"workers":2,"load":0.9,"cores":1.5},"prove":"30s"} resource.release ` + release,
		}},
		{name: "cpu without a limit", kind: "cpu-stress", target: "api-1", change: func(s *drills.Scene) { s.Targets[0].Limits = nil }, want: []string{
			`undo api-1 resource.cpu {` + mark + `,"cpu":{"workers":1,"load":1},"prove":"30s"} resource.release ` + release,
		}},
		{name: "memory", kind: "memory-stress", with: `{"share":"85%"}`, target: "api-1", want: []string{
			`undo api-1 resource.memory {` + mark + `,"memory":{"share":0.85},"prove":"30s"} resource.release ` + release,
		}},
		{name: "disk", kind: "disk-fill", with: `{"path":"/data","share":"95%","up-to":"1GiB"}`, target: "api-1", want: []string{
			`undo api-1 resource.disk {` + mark + `,"disk":{"path":"/data","share":0.95,"most":1073741824},"prove":"30s"} resource.release ` + release,
		}},
		{name: "slow disk", kind: "disk-latency", with: `{"path":"/data","ops":20,"rate":"1MiB"}`, target: "api-1", want: []string{
			`undo api-1 unit.throttle {"throttle":{"ops":20,"rate":1048576},"path":"/data"} unit.unthrottle {"throttle":{"ops":20,"rate":1048576},"path":"/data"}`,
		}},
		{name: "memory limit", kind: "memory-limit", with: `{"share":"50%"}`, target: "api-1", want: []string{
			`undo api-1 unit.limit {"limit":{"memory":67108864,"memory-swap":134217728},"was":{"memory":134217728,"memory-swap":201326592}} ` +
				`unit.unlimit {"limit":{"memory":67108864,"memory-swap":134217728},"was":{"memory":134217728,"memory-swap":201326592}}`,
		}},
		{name: "cpu limit", kind: "cpu-limit", with: `{"to":"0.5"}`, target: "api-1", want: []string{
			`undo api-1 unit.limit {"limit":{"nano-cpus":500000000},"was":{"nano-cpus":1500000000}} unit.unlimit {"limit":{"nano-cpus":500000000},"was":{"nano-cpus":1500000000}}`,
		}},
		{name: "cpu limit where there was none", kind: "cpu-limit", with: `{"to":"0.5"}`, target: "api-1", change: func(s *drills.Scene) { s.Targets[0].Limits = nil }, want: []string{
			`undo api-1 unit.limit {"limit":{"cpu-quota":50000,"cpu-period":100000},"was":{"cpu-quota":-1,"cpu-period":100000}} ` +
				`unit.unlimit {"limit":{"cpu-quota":50000,"cpu-period":100000},"was":{"cpu-quota":-1,"cpu-period":100000}}`,
		}},
		{name: "processes", kind: "processes", with: `{"left":0}`, target: "api-1", want: []string{
			`undo api-1 unit.limit {"limit":{"pids":7},"was":{"pids":-1}} unit.unlimit {"limit":{"pids":7},"was":{"pids":-1}}`,
		}},
		{name: "descriptors", kind: "file-descriptors", with: `{"use":"90%"}`, target: "api-1", want: []string{
			`undo api-1 unit.nofile {"nofile":50,"nofile_was":1024} unit.nofile-back {"nofile":50,"nofile_was":1024}`,
		}},
		{name: "out of memory", kind: "out-of-memory", target: "api-1", once: true, want: []string{`heals api-1 unit.oom  unit.start ` + since}},
		{name: "a process inside", kind: "kill", with: `{"as":"crash","process":"nginx*"}`, target: "api-1", once: true, want: []string{
			`heals api-1 unit.signal {"signal":"SIGKILL","process":"nginx*"} unit.start ` + since,
		}},
		{name: "loop", kind: "restart-loop", target: "api-1", want: []string{
			`undo api-1 unit.crash-loop {` + mark + `,"every":"5s","signal":"SIGKILL","started_at":"2026-01-02T03:04:05.000000678Z"} unit.calm ` + since,
		}},
		{name: "scale", kind: "scale", with: `{"to":1}`, target: "redis-1", want: []string{
			`undo redis-1 unit.stop {"grace":"10s"} unit.start ` + since, `undo redis-3 unit.stop {"grace":"10s"} unit.start ` + since,
		}},
		{name: "roll", kind: "rolling-restart", target: "api-2", once: true, want: []string{
			`heals api-2 unit.roll {"grace":"10s","within":"1m0s"} unit.start ` + since, `heals api-1 unit.roll {"grace":"10s","within":"1m0s"} unit.start ` + since,
		}},
		{name: "roll by recreation", kind: "rolling-restart", with: `{"recreate":true,"grace":"1s"}`, target: "api-1", once: true, want: []string{
			`heals api-1 unit.recreate {"grace":"1s","within":"1m0s"} unit.reinstate ` + since, `heals api-2 unit.recreate {"grace":"1s","within":"1m0s"} unit.reinstate ` + since,
		}},
		{name: "recreate", kind: "recreate", target: "api-1", once: true, want: []string{`heals api-1 unit.recreate {"grace":"10s","within":"1m0s"} unit.reinstate ` + since}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f, err := build(t, c.kind, c.with)
			if err != nil {
				t.Fatal(err)
			}
			s := scene(c.target)
			sized(&s)
			if c.once {
				s.Duration = 0
			}
			if c.change != nil {
				c.change(&s)
			}
			changes, err := f.Plan(s)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, x := range changes {
				got = append(got, strings.Join([]string{string(x.Class), x.Member, x.Do.Verb, string(x.Do.Args), x.Undo.Verb, string(x.Undo.Args)}, " "))
				if m, ok := s.Member(x.Do.Target); !ok || m.Name != x.Member || x.Undo.Target != x.Do.Target {
					t.Errorf("target %q is not %s", x.Do.Target, x.Member)
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("changes (-want +got):\n%s", d)
			}
		})
	}
}

func TestPlansOfMembersAndResourcesThatAreRefused(t *testing.T) {
	bare := func(s *drills.Scene) { s.Targets[0].Limits, s.Targets[0].Policy = nil, "no" }
	once := func(s *drills.Scene) { s.Duration = 0 }
	keep := func(n int) func(*drills.Scene) {
		return func(s *drills.Scene) {
			c := s.System.Components["api"]
			c.KeepHealthy = n
			s.System.Components["api"] = c
		}
	}
	cases := []struct {
		kind, with string
		change     func(*drills.Scene)
		want       string
	}{
		{"cpu-stress", "", once, "needs a duration"},
		{"disk-latency", `{"path":"/data","ops":20}`, once, "needs a duration"},
		{"memory-stress", `{"share":"80%"}`, bare, "no memory limit"},
		{"memory-limit", `{"share":"50%"}`, bare, "cannot take one away"},
		{"memory-limit", `{"to":"256MiB"}`, nil, "is not lower"},
		{"memory-limit", `{"share":"1%"}`, nil, "least memory limit"},
		{"memory-limit", `{"share":"50%"}`, once, "needs a duration"},
		{"cpu-limit", `{"share":"50%"}`, bare, "no CPU limit"},
		{"cpu-limit", `{"to":"2"}`, nil, "is not lower"},
		{"processes", `{"left":0}`, bare, "how many processes"},
		{"processes", `{"to":9}`, func(s *drills.Scene) { s.Targets[0].Limits["pids"] = 9 }, "is not lower"},
		{"file-descriptors", `{"use":"90%"}`, bare, "limit of open files"},
		{"file-descriptors", `{"use":"90%"}`, func(s *drills.Scene) { delete(s.Targets[0].Limits, "open-files") }, "the open files"},
		{"file-descriptors", `{"to":2000}`, nil, "is not lower"},
		{"out-of-memory", "", nil, "has no duration"},
		{"out-of-memory", "", func(s *drills.Scene) { once(s); bare(s) }, "no memory limit"},
		{"restart-loop", "", bare, "no restart policy"},
		{"restart-loop", "", once, "needs a duration"},
		{"scale", `{"to":2}`, nil, "would stop none"},
		{"scale", `{"to":0}`, keep(1), "keep-healthy of 1"},
		{"scale", `{"to":1}`, once, "needs a duration"},
		{"rolling-restart", "", nil, "has no duration"},
		{"rolling-restart", "", func(s *drills.Scene) { once(s); keep(2)(s) }, "none may be taken out"},
		{"recreate", "", nil, "has no duration"},
		{"recreate", "", func(s *drills.Scene) { once(s); s.Targets[0].State = "exited" }, "api-1 is exited"},
	}
	for _, c := range cases {
		t.Run(c.kind+" "+c.want, func(t *testing.T) {
			f, err := build(t, c.kind, c.with)
			if err != nil {
				t.Fatal(err)
			}
			s := scene("api-1")
			sized(&s)
			if c.change != nil {
				c.change(&s)
			}
			if changes, err := f.Plan(s); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("planned %v, error %v, want one with %q", changes, err, c.want)
			}
		})
	}
}

func TestBadParametersOfMembersAndResources(t *testing.T) {
	for _, c := range []struct{ kind, with, want string }{
		{"cpu-stress", `{"load":"0%"}`, "above 0%"},
		{"cpu-stress", `{"workers":-1}`, "workers"},
		{"memory-stress", `{}`, "exactly one"},
		{"memory-stress", `{"share":"50%","size":"1MiB"}`, "exactly one"},
		{"memory-stress", `{"share":"99%"}`, "end processes"},
		{"memory-stress", `{"size":"12"}`, "not a size"},
		{"disk-fill", `{"path":"data"}`, "absolute"},
		{"disk-latency", `{"path":"data","ops":20}`, "absolute"},
		{"disk-latency", `{"path":"/data"}`, "ops or rate is needed"},
		{"disk-latency", `{"path":"/data","ops":1}`, "between 2 and"},
		{"disk-latency", `{"path":"/data","rate":"1KiB"}`, "at least 16 KiB"},
		{"disk-fill", `{"path":"/a/../b"}`, "clean"},
		{"disk-fill", `{"path":"/a","share":"0%"}`, "above 0%"},
		{"memory-limit", `{}`, "exactly one"},
		{"memory-limit", `{"share":"100%"}`, "below 100%"},
		{"cpu-limit", `{"to":"0"}`, "number of CPUs"},
		{"cpu-limit", `{"share":"100%"}`, "below 100%"},
		{"processes", `{}`, "exactly one"},
		{"processes", `{"left":-1}`, "below zero"},
		{"file-descriptors", `{"use":"90%","left":3}`, "exactly one"},
		{"file-descriptors", `{"left":-1}`, "below zero"},
		{"out-of-memory", `{"share":"1%"}`, "share"},
		{"kill", `{"as":"stop","process":"x"}`, "as: crash"},
		{"kill", `{"as":"crash","process":"["}`, "not a pattern"},
		{"restart-loop", `{"every":"100ms"}`, "below 500ms"},
		{"restart-loop", `{"signal":"NONE"}`, "not a signal"},
		{"scale", `{"to":-1}`, "below zero"},
		{"rolling-restart", `{"within":"0s"}`, "within"},
		{"recreate", `{"grace":"-1s"}`, "grace"},
	} {
		if f, err := build(t, c.kind, c.with); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, error %v, want one with %q", c.kind, c.with, f, err, c.want)
		}
	}
}

// strainHelper is a launcher whose helper says what it is told to.
type strainHelper struct {
	frames chan drills.Frame
	fakeHelper
}

func (h *strainHelper) Start(_ context.Context, p drills.Place, _ []string) (drills.Stream, error) {
	h.places = append(h.places, p)
	return &fakeProcess{h: &h.fakeHelper, in: make(chan drills.Frame, 10), out: h.frames, closed: make(chan struct{})}, nil
}

// TestPressureThatEndsByItselfIsTold: a helper that dies is a fault that ended without us, and its undo says so.
func TestPressureThatEndsByItselfIsTold(t *testing.T) {
	for _, reached := range []bool{true, false} {
		h := &strainHelper{frames: make(chan drills.Frame, 10)}
		say := func(kind string, data any) {
			raw, _ := json.Marshal(data)
			h.frames <- drills.Frame{Type: kind, Data: raw}
		}
		told := make(chan string, 1)
		r := NewResources(h, nil, func(_, why string) { told <- why })
		say("ready", helper.Pressed{Way: helper.WayChild, From: drills.Monotonic(), To: drills.Monotonic()})
		say("beat", helper.Reading{Mono: drills.Monotonic(), Reached: reached})
		op, _ := drills.NewOp(verbMemory, "t", strainArgs{Mark: "m", Memory: &helper.Memory{Size: 1}, Prove: drills.Duration(50 * time.Millisecond)})
		e, err := r.Apply(t.Context(), op)
		if err != nil || e.Proven != reached {
			t.Fatalf("effect %+v, %v", e, err)
		}
		if h.places[0] != (drills.Place{Kind: drills.PlaceCgroup, Target: "t", Name: "memory"}) {
			t.Errorf("place %+v", h.places[0])
		}
		close(h.frames)
		if why := <-told; !strings.Contains(why, "without a word") {
			t.Errorf("told %q", why)
		}
		undo, _ := drills.NewOp(verbRelease, "t", healArgs{Mark: "m"})
		if e, err := r.Apply(t.Context(), undo); err != nil || !strings.Contains(e.Skipped, "had ended before") {
			t.Errorf("undo %+v, %v", e, err)
		}
	}
}
