package experiments

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

func loadScene(targets ...string) drills.Scene {
	s := scene(targets...)
	s.System = &drills.System{Environment: "staging", Components: map[string]drills.Component{
		"redis": {Roles: &drills.RoleSource{From: "sentinel", Master: "gad", Addresses: []string{"sentinel-1:26379"}, Port: 6379, Password: "${env:R}"}},
	}}
	return s
}

func openArgsOf(t *testing.T, c drills.Change) loadOpenArgs {
	t.Helper()
	var a loadOpenArgs
	if err := json.Unmarshal(c.Do.Args, &a); err != nil || c.Do.Verb != "load.open" || c.Undo.Verb != "load.stop" || c.Class != drills.ClassUndo {
		t.Fatalf("%+v: %v", c, err)
	}
	return a
}

func planOf(t *testing.T, kind, with string, s drills.Scene) []drills.Change {
	t.Helper()
	f, err := build(t, kind, with)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := f.Plan(s)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func TestLoadPlans(t *testing.T) {
	t.Parallel()
	ops := `"operations":[{"name":"read","path":"/x/{int:1:9}"}]`
	read := []drills.HTTPOp{{Name: "read", Path: "/x/{int:1:9}"}}
	q := []drills.Statement{{Name: "q", SQL: "select 1"}}
	const five = drills.Duration(5e9)
	for _, c := range []struct {
		name, kind, with string
		targets          []string
		want             drills.LoadFlow
	}{
		{"the members themselves", "saturate-http", `{"rate":300,"port":8000,` + ops + `}`, []string{"api-1", "api-2"}, drills.LoadFlow{
			Name: "http", Rate: 300, Connections: 64, Timeout: five, HTTP: &drills.HTTPLoad{URLs: []string{"http://10.0.0.21:8000", "http://10.0.0.22:8000"}, Operations: read},
		}},
		{"through a proxy", "saturate-http", `{"rate":300,"url":"http://caddy:8080/","connections":7,` + ops + `}`, []string{"api-1"}, drills.LoadFlow{
			Name: "http", Rate: 300, Connections: 7, Timeout: five, HTTP: &drills.HTTPLoad{URLs: []string{"http://caddy:8080"}, Operations: read},
		}},
		{"the primary", "saturate-redis", `{"rate":12000}`, []string{"redis-1"}, drills.LoadFlow{
			Name: "redis", Rate: 12000, Connections: 16, Timeout: drills.Duration(1e9),
			Redis: &drills.RedisLoad{Addresses: []string{"10.0.0.1:6379"}, Password: "${env:R}", Prefix: redisLoadKeys, Keys: 10000, Size: 100, Writes: 0.2, Pipeline: 16},
		}},
		{"wherever the Sentinels say", "saturate-redis", `{"via":"sentinel"}`, []string{"redis-1"}, drills.LoadFlow{
			Name: "redis", Rate: 10000, Connections: 16, Timeout: drills.Duration(1e9),
			Redis: &drills.RedisLoad{Sentinels: []string{"sentinel-1:26379"}, Master: "gad", Password: "${env:R}", Prefix: redisLoadKeys, Keys: 10000, Size: 100, Writes: 0.2, Pipeline: 16},
		}},
		{"queries", "saturate-postgres", `{"rate":80,"dsn":"postgres://u:${env:P}@h/d","statements":[{"name":"q","sql":"select 1"}]}`, []string{"pg-1"}, drills.LoadFlow{
			Name: "postgres", Rate: 80, Connections: 50, Timeout: five, Postgres: &drills.PostgresLoad{DSN: "postgres://u:${env:P}@h/d", Statements: q},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			changes := planOf(t, c.kind, c.with, loadScene(c.targets...))
			if len(changes) != 1 {
				t.Fatalf("%d changes", len(changes))
			}
			a := openArgsOf(t, changes[0])
			if d := cmp.Diff([]drills.LoadFlow{c.want}, a.Flows); d != "" || a.Network != "gad" || a.Ramp != drills.Duration(2e9) || a.Seed != seedOf("20260102-r1", "cut") {
				t.Errorf("-want +got:\n%s%+v", d, a)
			}
		})
	}
}

const mix = `{"users":1000,"port":8000,"login":{"url":"http://y","username":"u","password":"${env:P}"},"groups":[
	{"name":"readers","users":600,"every":"10s","connections":50,"operations":[{"name":"read","path":"/x"}]},
	{"name":"map","users":100,"every":"5s","connections":20,"dsn":"postgres://h/d","statements":[{"name":"q","sql":"select 1"}]},
	{"name":"listeners","users":300,"listen":{"path":"/ws","publish":{"url":"http://x","rate":1}}}]}`

func TestUserMixPlan(t *testing.T) {
	t.Parallel()
	changes := planOf(t, "user-mix", mix, loadScene("api-1", "api-2"))
	if len(changes) != 2 || changes[0].Do.Verb != "load.websocket" || !strings.Contains(string(changes[0].Do.Args), `"connections":300`) {
		t.Fatalf("%+v", changes)
	}
	a := openArgsOf(t, changes[1])
	if len(a.Flows) != 2 || a.Flows[0].Rate != 60 || a.Flows[0].Users != 600 || a.Flows[0].Connections != 50 || a.Flows[0].HTTP.Login == nil ||
		a.Flows[1].Rate != 20 || a.Flows[1].Postgres == nil || changes[1].Note != "1000 users, 80 operations a second" {
		t.Errorf("%+v %q", a.Flows, changes[1].Note)
	}
}

func TestLoadThatIsRefused(t *testing.T) {
	t.Parallel()
	const http, redis = `{"rate":300,"port":8000,"operations":[{"name":"read","path":"/x"}]}`, `{"rate":5000}`
	production := func(rate float64) func(*drills.Scene) {
		return func(s *drills.Scene) { s.System.Environment, s.System.Limits.LoadRate = "production", rate }
	}
	for _, c := range []struct {
		name, kind, with, target string
		change                   func(*drills.Scene)
		want                     string // empty: it is allowed
	}{
		{"production, no rate given", "saturate-http", http, "api-1", production(0), "load is off in production"},
		{"production, too much", "saturate-http", http, "api-1", production(299), "the system allows 299"},
		{"production, as much as is given", "saturate-http", http, "api-1", production(300), ""},
		{"staging, too much", "saturate-redis", redis, "redis-1", func(s *drills.Scene) { s.System.Limits.LoadRate = 100 }, "limits.load-rate"},
		{"mix, summed", "user-mix", mix, "api-1", func(s *drills.Scene) { s.System.Limits.LoadRate = 79 }, "80 operations"},
		{"published in production", "saturate-websocket", `{"path":"/","port":1,"publish":{"url":"http://x","rate":2}}`, "api-1", production(0), "load is off in production"},
		{"no duration", "saturate-http", http, "api-1", func(s *drills.Scene) { s.Duration = 0 }, "needs a duration"},
		{"all ramp", "saturate-http", http, "api-1", func(s *drills.Scene) { s.Duration = drills.Duration(2e9) }, "nothing would be measured"},
		{"no port", "saturate-http", `{"rate":1,"operations":[{"name":"read","path":"/x"}]}`, "api-1", nil, "port of api-1 is not known"},
		{"no Sentinels", "saturate-redis", `{"via":"sentinel"}`, "api-1", nil, "do not come from sentinel"},
		{"target is down", "saturate-redis", redis, "redis-1", func(s *drills.Scene) { s.Targets[0].State = "exited" }, "redis-1 is exited"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, err := build(t, c.kind, c.with)
			if err != nil {
				t.Fatal(err)
			}
			s := loadScene(c.target)
			if c.change != nil {
				c.change(&s)
			}
			_, err = f.Plan(s)
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestBadLoadParameters(t *testing.T) {
	t.Parallel()
	const op = `"operations":[{"name":"read","path":"/x"}]`
	for _, c := range []struct{ kind, with, want string }{
		{"saturate-http", `{` + op + `}`, "rate"},
		{"saturate-http", `{"rate":1e9,` + op + `}`, "rate"},
		{"saturate-http", `{"rate":1,"connections":0,` + op + `}`, "connections"},
		{"saturate-http", `{"rate":1}`, "operations"},
		{"saturate-http", `{"rate":1,"operations":[{"name":"a","path":"x"}]}`, "slash"},
		{"saturate-http", `{"rate":1,"operations":[{"name":"a","path":"/"},{"name":"a","path":"/"}]}`, "name of its own"},
		{"saturate-http", `{"rate":1,"login":{"url":"x"},` + op + `}`, "login"},
		{"saturate-redis", `{"pipeline":0}`, "pipeline"},
		{"saturate-redis", `{"keys":0}`, "keys"},
		{"saturate-redis", `{"via":"proxy"}`, "via"},
		{"saturate-redis", `{"writes":1.5}`, "writes"},
		{"saturate-postgres", `{"rate":1,"statements":[{"name":"q","sql":"s"}]}`, "dsn"},
		{"saturate-postgres", `{"rate":1,"dsn":"d"}`, "statements"},
		{"user-mix", `{}`, "groups"},
		{"user-mix", `{"users":9,"groups":[{"name":"a","users":8,"every":"1s",` + op + `}]}`, "8 together"},
		{"user-mix", `{"users":8,"groups":[{"name":"a","users":8,` + op + `}]}`, "every"},
		{"user-mix", `{"users":8,"groups":[{"name":"a","users":8,"every":"1s"}]}`, "exactly one"},
	} {
		if f, err := build(t, c.kind, c.with); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, error %v, want one with %q", c.kind, c.with, f, err, c.want)
		}
	}
}
