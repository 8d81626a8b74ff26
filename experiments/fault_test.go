package experiments

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

// build makes a fault of the registry from JSON parameters, refusing unknown ones as drill files do.
func build(t *testing.T, kind, with string) (drills.Fault, error) {
	t.Helper()
	k, ok := All()[kind]
	if !ok {
		t.Fatalf("no fault %q", kind)
	}
	return k.New(func(into any) error {
		if with == "" {
			return nil
		}
		d := json.NewDecoder(strings.NewReader(with))
		d.DisallowUnknownFields()
		return d.Decode(into)
	})
}

var started = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)

func member(component, name, ip string) drills.Member {
	return drills.Member{
		ID: strings.Repeat("0", 52) + name + strings.Repeat("0", 12-len(name)), Name: name, Service: name, State: "running", Healthy: true,
		Component: component, Networks: map[string]string{"gad": ip}, StartedAt: started,
	}
}

// scene is three Redis nodes (the first is primary), a sentinel in two networks, three PostgreSQL nodes and two APIs.
func scene(targets ...string) drills.Scene {
	s := drills.Scene{Step: "cut", Run: "20260102-r1", Duration: drills.Duration(15 * time.Second)}
	s.Topology = drills.Topology{Groups: map[string][]string{}, Views: map[string]drills.RoleView{}}
	add := func(m drills.Member, role string) {
		s.Members = append(s.Members, m)
		s.Groups[m.Component] = append(s.Groups[m.Component], m.ID)
		v, ok := s.Views[m.Component]
		if !ok {
			v.Roles = map[string]string{}
		}
		v.Roles[m.ID] = role
		s.Views[m.Component] = v
	}
	add(member("redis", "redis-1", "10.0.0.1"), rolePrimary)
	add(member("redis", "redis-2", "10.0.0.2"), roleReplica)
	add(member("redis", "redis-3", "10.0.0.3"), roleReplica)
	sentinel := member("sentinel", "sentinel-1", "10.0.0.4")
	sentinel.Networks["other"] = "10.1.0.4"
	add(sentinel, "")
	add(member("postgis", "pg-1", "10.0.0.11"), roleReplica)
	add(member("postgis", "pg-2", "10.0.0.12"), rolePrimary)
	add(member("postgis", "pg-3", "10.0.0.13"), roleReplica)
	add(member("api", "api-1", "10.0.0.21"), "")
	add(member("api", "api-2", "10.0.0.22"), "")
	lonely := member("lonely", "lonely", "")
	lonely.Networks = map[string]string{"other": "10.1.0.9"}
	add(lonely, "")
	ours := member("ours", "probe", "10.0.0.99")
	ours.Labels = map[string]string{"io.simulacro.role": "vantage"}
	add(ours, "")
	s.System = &drills.System{Components: map[string]drills.Component{
		"redis":   {Name: "redis", Roles: &drills.RoleSource{From: "sentinel", Master: "gad", Addresses: []string{"sentinel-1:26379"}, Password: "${env:SECRET}"}},
		"postgis": {Name: "postgis", Roles: &drills.RoleSource{From: "patroni", Port: 5432, RESTPort: 8008}},
		"api":     {Name: "api"},
	}}
	for _, name := range targets {
		for component := range s.Groups {
			for _, m := range s.Of(component) {
				if m.Name == name {
					s.Targets = append(s.Targets, m)
				}
			}
		}
	}
	s.Planned = s.Targets
	return s
}

func TestInfoOfEveryFaultIsComplete(t *testing.T) {
	for name, k := range All() {
		i := k.Info
		if i.Kind != name || i.Summary == "" || i.Class == "" || len(i.Verbs) == 0 || i.Proof == "" || i.Undo == "" {
			t.Errorf("%s: %+v", name, i)
		}
		if i.Duration != "required" && i.Duration != "optional" && i.Duration != "none" {
			t.Errorf("%s: duration %q", name, i.Duration)
		}
	}
}

func TestPlans(t *testing.T) {
	since := `{"started_at":"2026-01-02T03:04:05.000000678Z"}`
	type act struct {
		Class          drills.Class
		Member         string
		Do, Args       string
		Undo, UndoArgs string
	}
	cases := []struct {
		name, kind, with string
		targets          []string
		once             bool // without a duration
		want             []act
	}{
		{
			name: "kill as stop", kind: "kill", with: `{"as":"stop","signal":"TERM"}`, targets: []string{"redis-1"},
			want: []act{{drills.ClassUndo, "redis-1", "unit.kill", `{"signal":"SIGTERM"}`, "unit.start", since}},
		},
		{
			name: "kill as crash", kind: "kill", with: `{"as":"crash"}`, targets: []string{"api-1", "api-2"}, once: true,
			want: []act{
				{drills.ClassHeals, "api-1", "unit.crash", `{"signal":"SIGKILL"}`, "unit.start", since},
				{drills.ClassHeals, "api-2", "unit.crash", `{"signal":"SIGKILL"}`, "unit.start", since},
			},
		},
		{
			name: "stop", kind: "stop", with: `{"grace":"3s"}`, targets: []string{"pg-2"},
			want: []act{{drills.ClassUndo, "pg-2", "unit.stop", `{"grace":"3s"}`, "unit.start", since}},
		},
		{
			name: "pause", kind: "pause", targets: []string{"redis-1"},
			want: []act{{drills.ClassUndo, "redis-1", "unit.pause", ``, "unit.unpause", since}},
		},
		{
			name: "restart", kind: "restart", targets: []string{"api-1"}, once: true,
			want: []act{{drills.ClassHeals, "api-1", "unit.restart", `{"grace":"10s"}`, "unit.start", since}},
		},
		{
			name: "partition", kind: "partition", targets: []string{"redis-1"},
			with: `{"from":[{"component":"redis","role":"replica"},{"component":"sentinel"},{"component":"sentinel","names":["sentinel-*"]}],"ports":[6379]}`,
			want: []act{{
				drills.ClassUndo, "redis-1", "net.partition",
				`{"mark":"20260102_r1_cut_redis_1","peers":[{"member":"redis-2","ip":"10.0.0.2"},{"member":"redis-3","ip":"10.0.0.3"},{"member":"sentinel-1","ip":"10.0.0.4"}],"direction":"both","ports":[6379],"prove":"5s"}`,
				"net.heal", `{"mark":"20260102_r1_cut_redis_1"}`,
			}},
		},
		{
			name: "sentinel-failover", kind: "sentinel-failover", targets: []string{"redis-1"}, once: true,
			want: []act{{
				drills.ClassHeals, "redis-1", "redis.failover",
				`{"mark":"20260102_r1_cut_redis_1","sentinels":["sentinel-1:26379"],"master":"gad","from":{"member":"redis-1","names":["redis-1","000000000000"],"addresses":["10.0.0.1"]},"within":"1m0s"}`, "", "",
			}},
		},
		{
			name: "switchover", kind: "switchover", targets: []string{"pg-2"}, once: true,
			want: []act{{drills.ClassHeals, "pg-2", "postgres.switchover", `{"mark":"20260102_r1_cut_pg_2",` + pgArgs + `"within":"1m0s"}`, "", ""}},
		},
		{
			name: "switchover to", kind: "switchover", with: `{"to":"pg-3"}`, targets: []string{"pg-2"}, once: true,
			want: []act{{
				drills.ClassHeals, "pg-2", "postgres.switchover",
				`{"mark":"20260102_r1_cut_pg_2",` + pgArgs + `"to":{"member":"pg-3","names":["pg-3","000000000000"],"addresses":["10.0.0.13"]},"within":"1m0s"}`, "", "",
			}},
		},
		{
			name: "switchover back", kind: "switchover", with: `{"back":true}`, targets: []string{"pg-2"}, once: true,
			want: []act{{
				drills.ClassHeals, "pg-2", "postgres.switchover",
				`{"mark":"20260102_r1_cut_pg_2",` + pgRest + `"from":{"member":""},"to":` + pgTwo + `"within":"1m0s"}`, "", "",
			}},
		},
		{
			name: "failover", kind: "failover", targets: []string{"pg-2"}, once: true,
			want: []act{{
				drills.ClassHeals, "pg-2", "postgres.failover",
				`{"mark":"20260102_r1_cut_pg_2",` + pgArgs + `"to":{"member":"pg-1","names":["pg-1","000000000000"],"addresses":["10.0.0.11"]},"within":"1m0s"}`, "", "",
			}},
		},
		{
			name: "saturate-websocket", kind: "saturate-websocket", targets: []string{"api-1", "api-2"},
			with: `{"connections":50,"path":"/ws/connect","port":8000,"publish":{"url":"http://x","rate":2,"topic":"t","size":9},"login":{"url":"http://y","username":"u","password":"${env:P}"}}`,
			want: []act{{
				drills.ClassUndo, "api-1", "load.websocket",
				`{"connections":50,"targets":["10.0.0.21:8000","10.0.0.22:8000"],"path":"/ws/connect","network":"gad","login":{"url":"http://y","username":"u","password":"${env:P}"},"publish":{"url":"http://x","rate":2,"topic":"t","size":9},"ramp":"10s"}`,
				"load.stop", "",
			}},
		},
		{
			name: "slow-consumers", kind: "slow-consumers", targets: []string{"api-1", "api-2"},
			with: `{"connections":20,"path":"/ws","port":8000,"topic":"t","read":100,"buffer":8192,"login":{"url":"http://y","username":"u","password":"${env:P}"}}`,
			want: []act{{
				drills.ClassUndo, "api-1", "clients.slow",
				`{"kind":"slow consumers","connections":20,"targets":["10.0.0.21:8000","10.0.0.22:8000"],"path":"/ws","network":"gad","login":{"url":"http://y","username":"u","password":"${env:P}"},"topic":"t","ramp":"2s","buffer":8192,"read":100,"prove":"15s"}`,
				"clients.release", "",
			}},
		},
		{
			name: "expired-tokens", kind: "expired-tokens", targets: []string{"api-2"}, with: `{"path":"/ws","port":8000,"life":"20s","login":{"url":"http://y","username":"u","password":"${env:P}"}}`,
			want: []act{{
				drills.ClassUndo, "api-2", "clients.expired",
				`{"kind":"sockets with an expired token","connections":50,"targets":["10.0.0.22:8000"],"path":"/ws","network":"gad","login":{"url":"http://y","username":"u","password":"${env:P}"},"ramp":"2s","life":"20s","prove":"15s"}`,
				"clients.release", "",
			}},
		},
		{
			name: "half-open-sockets", kind: "half-open-sockets", targets: []string{"api-2"}, with: `{"path":"/ws","port":8000,"ask":"2s"}`,
			want: []act{{
				drills.ClassUndo, "api-2", "clients.half-open",
				`{"kind":"half-open sockets","connections":100,"targets":["10.0.0.22:8000"],"path":"/ws","network":"gad","ramp":"2s","ask":"2s","prove":"10s"}`,
				"clients.release", "",
			}},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f, err := build(t, c.kind, c.with)
			if err != nil {
				t.Fatal(err)
			}
			s := scene(c.targets...)
			if c.once {
				s.Duration = 0
			}
			changes, err := f.Plan(s)
			if err != nil {
				t.Fatal(err)
			}
			var got []act
			for _, x := range changes {
				got = append(got, act{x.Class, x.Member, x.Do.Verb, string(x.Do.Args), x.Undo.Verb, string(x.Undo.Args)})
				if m, ok := s.Member(x.Do.Target); !ok || m.Name != x.Member {
					t.Errorf("target %q is not %s", x.Do.Target, x.Member)
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("changes (-want +got):\n%s", d)
			}
			again, _ := f.Plan(s)
			if d := cmp.Diff(changes, again); d != "" {
				t.Errorf("the same scene planned differently:\n%s", d)
			}
		})
	}
}

const (
	pgRest = `"rest":[{"member":"pg-1","addr":"10.0.0.11:8008"},{"member":"pg-2","addr":"10.0.0.12:8008"},{"member":"pg-3","addr":"10.0.0.13:8008"}],`
	pgTwo  = `{"member":"pg-2","names":["pg-2","000000000000"],"addresses":["10.0.0.12"]},`
	pgArgs = pgRest + `"from":` + pgTwo
)

// TestFailBack: when its time has come, whoever is primary hands the role to the primary of the plan.
func TestFailBack(t *testing.T) {
	f, err := build(t, "switchover", `{"back":true}`)
	if err != nil {
		t.Fatal(err)
	}
	s := scene("pg-2")
	s.Duration = 0
	first, _ := s.Member(scene("pg-1").Targets[0].ID)
	s.Planned = []drills.Member{first}
	changes, err := f.Plan(s)
	if err != nil {
		t.Fatal(err)
	}
	var a postgresArgs
	if err := changes[0].Do.Decode(&a); err != nil || a.From.Member != "pg-2" || a.To == nil || a.To.Member != "pg-1" {
		t.Errorf("%+v %v", a, err)
	}
}

func TestPlansThatAreRefused(t *testing.T) {
	down := func(s *drills.Scene) { s.Targets[0].State = "exited" }
	once := func(s *drills.Scene) { s.Duration = 0 }
	kinds := func(s *drills.Scene) {
		for name, kind := range map[string]string{"redis": "redis", "postgis": "postgres"} {
			c := s.System.Components[name]
			c.Kind, c.Control = kind, &drills.Control{DSN: "postgres://f:${env:SECRET}@haproxy:5000/db", Username: "f", Password: "${env:SECRET}"}
			s.System.Components[name] = c
		}
	}
	cases := []struct {
		name, kind, with string
		target           string
		change           func(*drills.Scene)
		want             string
	}{
		{"stop needs a duration", "kill", `{"as":"stop"}`, "redis-1", once, "needs a duration"},
		{"stop fault too", "stop", "", "redis-1", once, "needs a duration"},
		{"pause too", "pause", "", "redis-1", once, "needs a duration"},
		{"partition too", "partition", `{"from":[{"component":"sentinel"}]}`, "redis-1", once, "needs a duration"},
		{"slow clients too", "slow-consumers", `{"path":"/","port":1}`, "api-1", once, "needs a duration"},
		{"vanished ones too", "half-open-sockets", `{"path":"/","port":1}`, "api-1", once, "needs a duration"},
		{"load too", "saturate-websocket", `{"path":"/","port":1}`, "api-1", once, "needs a duration"},
		{"a restore has none", "restore-backup", `{"restore":["r"],"dsn":"d","checks":[{"name":"a","sql":"select 1","equals":"1"}]}`, "api-1", nil, "has no duration"},
		{"a member that is down cannot be destroyed", "destroy", "", "api-1", func(s *drills.Scene) { s.Duration = 0; down(s) }, "not running"},
		{"restart has none", "restart", "", "api-1", nil, "has no duration"},
		{"switchover has none", "switchover", "", "pg-2", nil, "has no duration"},
		{"target is down", "pause", "", "redis-1", down, "redis-1 is exited"},
		{"cut off from itself", "partition", `{"from":[{"component":"redis"}]}`, "redis-1", nil, "cannot be cut off from itself"},
		{"no shared network", "partition", `{"from":[{"component":"lonely"}]}`, "redis-1", nil, "share no network"},
		{"our own process", "partition", `{"from":[{"component":"ours"}]}`, "redis-1", nil, "is a process of simulacro"},
		{"nobody matches", "partition", `{"from":[{"component":"redis","role":"arbiter"}]}`, "redis-1", nil, "no member matches"},
		{"not the primary", "sentinel-failover", "", "redis-2", once, "needs the primary"},
		{"wrong source", "sentinel-failover", "", "pg-2", once, "roles come from sentinel"},
		{"no source", "switchover", "", "redis-1", once, "roles come from patroni"},
		{"unknown candidate", "switchover", `{"to":"pg-9"}`, "pg-2", once, "no running member pg-9"},
		{"candidate is the primary", "failover", `{"to":"pg-2"}`, "pg-2", once, "no running member pg-2"},
		{"no port", "saturate-websocket", `{"path":"/"}`, "api-1", nil, "port of api-1 is not known"},
		{"maxmemory needs a duration", "redis-maxmemory", "", "redis-1", once, "needs a duration"},
		{"eviction of others' keys", "redis-maxmemory", `{"policy":"allkeys-lru"}`, "redis-1", nil, "do not come back"},
		{"a storm too", "redis-eviction-storm", "", "redis-1", nil, "do not come back"},
		{"persistence off", "redis-persistence", `{"appendonly":"no"}`, "redis-1", nil, "may be lost"},
		{"flushall has none", "redis-flushall", "", "redis-1", nil, "has no duration"},
		{"a kill too", "redis-client-kill", "", "redis-1", nil, "has no duration"},
		{"store is down", "redis-slow-commands", "", "redis-1", down, "redis-1 is exited"},
		{"the primary does not lag", "redis-replica-lag", "", "redis-1", nil, "is the primary"},
		{"no way in", "postgres-lock-storm", `{"tables":["t"]}`, "pg-2", nil, "control"},
		{"not that kind", "postgres-lock-storm", `{"tables":["t"]}`, "redis-1", kinds, "is for postgres"},
		{"nor that", "redis-slow-commands", "", "pg-2", kinds, "is for redis"},
		{"connections to what", "connection-exhaustion", "", "api-1", nil, "does not know how to connect"},
		{"a limit that cannot be lowered", "connection-exhaustion", `{"lower-limit":50}`, "pg-2", kinds, "cannot lower max_connections"},
		{"no such network", "saturate-websocket", `{"path":"/","network":"dmz"}`, "api-1", nil, `network "dmz"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f, err := build(t, c.kind, c.with)
			if err != nil {
				t.Fatal(err)
			}
			s := scene(c.target)
			if c.change != nil {
				c.change(&s)
			}
			if changes, err := f.Plan(s); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("planned %v, error %v, want one with %q", changes, err, c.want)
			}
		})
	}
}

func TestBadParameters(t *testing.T) {
	cases := []struct{ kind, with, want string }{
		{"kill", "", "must be crash or stop"},
		{"kill", `{"as":"crash","signal":"SIGNONE"}`, "not a signal"},
		{"kill", `{"as":"crash","sig":"KILL"}`, "sig"},
		{"stop", `{"grace":"-1s"}`, "grace"},
		{"pause", `{"as":"crash"}`, "as"},
		{"switchover", `{"back":true,"to":"pg-3"}`, "to somebody else"},
		{"partition", `{}`, "from"},
		{"partition", `{"from":[{"role":"replica"}]}`, "needs a component"},
		{"partition", `{"from":[{"component":"a","pick":"one"}]}`, "pick"},
		{"partition", `{"from":[{"component":"a"}],"direction":"sideways"}`, "direction"},
		{"partition", `{"from":[{"component":"a"}],"ports":[0]}`, "ports"},
		{"restore-backup", `{}`, "restore: is required"},
		{"restore-backup", `{"restore":["r"],"dsn":"d","checks":[{"name":"a","sql":"select 1","equals":"1"}],"until":"T0+5s"}`, "no instant to restore to"},
		{"restore-backup", `{"restore":["r"],"dsn":"d","checks":[{"name":"a","sql":"select 1","equals":"1"}],"until":"T0-5s"}`, "put {until} into it"},
		{"restore-backup", `{"restore":["r"],"dsn":"d"}`, "nobody looks at proves nothing"},
		{"restore-backup", `{"restore":["r"],"dsn":"d","checks":[{"name":"a","sql":"select 1"}]}`, "say what the answer must be"},
		{"restore-backup", `{"restore":["r"],"dsn":"d","checks":[{"name":"a","sql":"select 1","equals":"live"}]}`, "how the live system is asked"},
		{"restore-backup", `{"restore":["r"],"dsn":"d","tables":["t"]}`, "counting on both sides needs live"},
		{"runbook", `{"title":"x"}`, "at least one is needed"},
		{"runbook", `{"title":"x","steps":[{"do":"y","by":"dba","command":["true"]}]}`, "nobody confirms it"},
		{"destroy", `{"volumes":true}`, "volumes"},
		{"saturate-websocket", `{"path":"/","connections":0}`, "connections"},
		{"saturate-websocket", `{}`, "path"},
		{"saturate-websocket", `{"path":"/","publish":{"url":"http://x"}}`, "rate"},
		{"saturate-websocket", `{"path":"/","login":{"url":"http://x"}}`, "login"},
		{"slow-consumers", `{"path":"ws"}`, "path"},
		{"slow-consumers", `{"path":"/","buffer":1024}`, "buffer"},
		{"slow-consumers", `{"path":"/","read":-1}`, "read"},
		{"slow-consumers", `{"path":"/","prove":"3m"}`, "prove"},
		{"slow-consumers", `{"path":"/","login":{"url":"http://x"}}`, "login"},
		{"half-open-sockets", `{"path":"/","connections":5001}`, "connections"},
		{"expired-tokens", `{"path":"/"}`, "login: is required"},
		{"expired-tokens", `{"path":"/","ramp":"9s","life":"9s","login":{"url":"http://x","username":"u","password":"p"}}`, "life"},
		{"half-open-sockets", `{"path":"/","ask":"1500ms"}`, "ask"},
		{"half-open-sockets", `{"path":"/","ramp":"-1s"}`, "ramp"},
		{"half-open-sockets", `{"path":"/","port":70000}`, "port"},
		{"redis-maxmemory", `{"policy":"lru"}`, "policy"},
		{"redis-maxmemory", `{"share":"0%"}`, "share"},
		{"redis-eviction-storm", `{"rate":0}`, "rate"},
		{"redis-eviction-storm", `{"size":0}`, "size"},
		{"redis-persistence", `{"appendonly":"off"}`, "appendonly"},
		{"redis-persistence", `{"exposed":"1h"}`, "exposed"},
		{"redis-slow-commands", `{"busy":"5s","every":"10s"}`, "busy"},
		{"redis-slow-commands", `{"busy":"1s","every":"1s"}`, "every"},
		{"redis-client-kill", `{"type":"master"}`, "type"},
		{"redis-replica-lag", `{"delay":"0s"}`, "delay"},
		{"connection-exhaustion", `{"at-most":0}`, "at-most"},
		{"connection-exhaustion", `{"connections":5000}`, "connections"},
		{"connection-exhaustion", `{"via":"pool"}`, "via"},
		{"postgres-long-transaction", `{"sessions":0}`, "sessions"},
		{"postgres-long-transaction", `{"rows":3}`, "rows"},
		{"postgres-long-transaction", `{"table":"t; drop table u","rows":1}`, "table"},
		{"postgres-lock-storm", `{}`, "tables"},
		{"postgres-lock-storm", `{"tables":["a b"]}`, "tables"},
		{"postgres-lock-storm", `{"tables":["t"],"mode":"row exclusive"}`, "mode"},
		{"postgres-lock-storm", `{"tables":["t"],"gap":"1s"}`, "gap"},
		{"postgres-slow-queries", `{"work":"disk"}`, "work"},
		{"postgres-slow-queries", `{"work":"query"}`, "query"},
		{"postgres-slow-queries", `{"each":"1ms"}`, "each"},
		{"postgres-drop-index", `{}`, "index"},
		{"postgres-wal-full", `{}`, "absolute"},
		{"postgres-wal-full", `{"path":"/data/../x"}`, "clean"},
		{"postgres-drop-index", `{"index":"a.b.c"}`, "index"},
	}
	for _, c := range cases {
		if f, err := build(t, c.kind, c.with); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, error %v, want one with %q", c.kind, c.with, f, err, c.want)
		}
	}
}
