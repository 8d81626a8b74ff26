package experiments

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
	"github.com/eevans-d/simulacro/experiments/store"
)

// storeScene is the scene of the other tests, with kinds and a way in.
func storeScene(targets ...string) drills.Scene {
	s := scene(targets...)
	s.System.Disposable = true
	for name, c := range map[string]drills.Component{
		"redis":   {Kind: "redis"},
		"postgis": {Kind: "postgres", Control: &drills.Control{DSN: "postgres://f:${env:PG}@haproxy:5000/db"}},
	} {
		c.Name, c.Roles = name, s.System.Components[name].Roles
		s.System.Components[name] = c
	}
	return s
}

// TestStorePlans: what each fault does to which address, with references only, and an undo that carries the same.
func TestStorePlans(t *testing.T) {
	redis := &store.Redis{Address: "10.0.0.1:6379", Password: "${env:SECRET}"}
	pg := &store.Postgres{DSN: "postgres://f:${env:PG}@haproxy:5000/db", Address: "10.0.0.12:5432"}
	replica := &store.Postgres{DSN: pg.DSN, Address: "10.0.0.11:5432"}
	for _, tt := range []struct {
		kind, with, target string
		class              drills.Class
		want               store.Spec
	}{
		{"redis-maxmemory", `{"share":"50%","policy":"allkeys-lru"}`, "redis-1", drills.ClassUndo, store.Spec{Fault: store.RedisMemory, Redis: redis, With: json.RawMessage(`{"share":0.5,"policy":"allkeys-lru"}`)}},
		{"redis-eviction-storm", "", "redis-1", drills.ClassUndo, store.Spec{Fault: store.RedisStorm, Redis: redis, With: json.RawMessage(`{"rate":1000,"size":10000}`)}},
		{"redis-persistence", `{"save":""}`, "redis-1", drills.ClassUndo, store.Spec{Fault: store.RedisPersistence, Redis: redis, With: json.RawMessage(`{"appendonly":"no","save":"","exposed":"3s"}`)}},
		{"redis-flushall", "", "redis-1", drills.ClassIrreversible, store.Spec{Fault: store.RedisFlush, Redis: redis, With: json.RawMessage(`{}`)}},
		{"redis-slow-commands", "", "redis-1", drills.ClassUndo, store.Spec{Fault: store.RedisSlow, Redis: redis, With: json.RawMessage(`{"busy":"200ms","every":"1s"}`)}},
		{"redis-client-kill", `{"type":"pubsub"}`, "redis-1", drills.ClassHeals, store.Spec{Fault: store.RedisClientKill, Redis: redis, With: json.RawMessage(`{"type":"pubsub"}`)}},
		{"connection-exhaustion", `{"lower-limit":99}`, "redis-1", drills.ClassUndo, store.Spec{Fault: store.RedisConnections, Redis: redis, With: json.RawMessage(`{"at_most":1000,"lower":99}`)}},
		{"connection-exhaustion", "", "pg-2", drills.ClassUndo, store.Spec{Fault: store.PostgresConnections, Postgres: pg, With: json.RawMessage(`{"at_most":1000}`)}},
		{"connection-exhaustion", `{"via":"dsn"}`, "pg-2", drills.ClassUndo, store.Spec{Fault: store.PostgresConnections, Postgres: &store.Postgres{DSN: pg.DSN}, With: json.RawMessage(`{"at_most":1000}`)}},
		{"postgres-replay-pause", "", "pg-1", drills.ClassUndo, store.Spec{Fault: store.PostgresReplay, Postgres: replica, With: json.RawMessage(`{}`)}},
		{"postgres-long-transaction", `{"table":"public.t","rows":2}`, "pg-2", drills.ClassUndo, store.Spec{Fault: store.PostgresTransaction, Postgres: pg, With: json.RawMessage(`{"sessions":1,"table":"public.t","rows":2}`)}},
		{"postgres-lock-storm", `{"tables":["a","b"],"mode":"EXCLUSIVE","hold":"1s","gap":"2s"}`, "pg-2", drills.ClassUndo, store.Spec{Fault: store.PostgresLocks, Postgres: pg, With: json.RawMessage(`{"tables":["a","b"],"mode":"exclusive","hold":"1s","gap":"2s"}`)}},
		{"postgres-slow-queries", "", "pg-2", drills.ClassUndo, store.Spec{Fault: store.PostgresSlow, Postgres: pg, With: json.RawMessage(`{"sessions":4,"work":"cpu","each":"2s"}`)}},
		{"postgres-drop-index", `{"index":"public.i"}`, "pg-2", drills.ClassUndo, store.Spec{Fault: store.PostgresIndex, Postgres: pg, With: json.RawMessage(`{"index":"public.i"}`)}},
	} {
		f, err := build(t, tt.kind, tt.with)
		if err != nil {
			t.Fatal(err)
		}
		s := storeScene(tt.target)
		if tt.class != drills.ClassUndo {
			s.Duration = 0
		}
		changes, err := f.Plan(s)
		if err != nil {
			t.Errorf("%s: %v", tt.kind, err)
			continue
		}
		c := changes[0]
		var got, back storeArgs
		if err := c.Do.Decode(&got); err != nil {
			t.Fatal(err)
		}
		want := tt.want
		want.For, want.Mark = s.Duration, "20260102_r1_cut_"+strings.ReplaceAll(tt.target, "-", "_")
		if d := cmp.Diff(want, got.Spec); d != "" || got.Network != "gad" || c.Class != tt.class || c.Do.Verb != "store."+want.Fault || got.Once != (tt.class != drills.ClassUndo) {
			t.Errorf("%s: %s %s %+v\n%s", tt.kind, c.Class, c.Do.Verb, got, d)
		}
		switch err := c.Undo.Decode(&back); {
		case tt.class != drills.ClassUndo && c.Undo.Verb != "":
			t.Errorf("%s: has an undo: %+v", tt.kind, c.Undo)
		case tt.class == drills.ClassUndo && (err != nil || c.Undo.Verb != "store.end" || cmp.Diff(got, back) != ""):
			t.Errorf("%s: the undo does not carry what it needs: %v %+v", tt.kind, err, c.Undo)
		}
	}
}

// TestPersistenceRestarts: the second change is the engine's restart.
func TestPersistenceRestarts(t *testing.T) {
	f, err := build(t, "redis-persistence", `{"grace":"0s"}`)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := f.Plan(storeScene("redis-1"))
	if err != nil || len(changes) != 2 || changes[1].Do.Verb != "unit.restart" || changes[1].Class != drills.ClassHeals || changes[1].Undo.Verb != "unit.start" {
		t.Errorf("%+v %v", changes, err)
	}
}

// TestReplicaLagIsOfTheStream: what comes in from the primary's port is delayed, and nothing else.
func TestReplicaLagIsOfTheStream(t *testing.T) {
	f, err := build(t, "redis-replica-lag", `{"delay":"1500ms"}`)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := f.Plan(storeScene("redis-2"))
	if err != nil || len(changes) != 1 {
		t.Fatalf("%+v %v", changes, err)
	}
	var a trafficArgs
	if err := changes[0].Do.Decode(&a); err != nil {
		t.Fatal(err)
	}
	if len(a.Peers) != 1 || a.Peers[0].IP != "10.0.0.1" || a.Direction != "in" || len(a.Ports) != 1 || a.Ports[0] != 6379 || a.Latency.Delay.String() != "1.5s" {
		t.Errorf("%s", changes[0].Do.Args)
	}
}

// TestWALPlan: one change that holds all that its undo needs, with references only, and only where data may be lost.
func TestWALPlan(t *testing.T) {
	f, err := build(t, "postgres-wal-full", `{"path":"/data/pg_wal","up-to":"2GiB","at-most":"256MiB"}`)
	if err != nil {
		t.Fatal(err)
	}
	s := storeScene("pg-2")
	changes, err := f.Plan(s)
	if err != nil || len(changes) != 1 {
		t.Fatalf("%+v %v", changes, err)
	}
	c := changes[0]
	const mark = "20260102_r1_cut_pg_2"
	want := walArgs{
		Spec: store.Spec{Fault: store.PostgresWAL, Mark: mark, For: s.Duration, Postgres: &store.Postgres{DSN: "postgres://f:${env:PG}@haproxy:5000/db", Address: "10.0.0.12:5432"}},
		Disk: helper.Disk{Path: "/data/pg_wal", Share: 1, Most: 2 << 30}, AtMost: 256 << 20, StartedAt: s.Targets[0].StartedAt,
	}
	var do, undo walArgs
	if err := errors.Join(c.Do.Decode(&do), c.Undo.Decode(&undo)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, do) + cmp.Diff(want, undo); d != "" || c.Do.Verb != verbWALFill || c.Undo.Verb != verbWALFree || c.Class != drills.ClassUndo {
		t.Errorf("%s %s %s\n%s", c.Class, c.Do.Verb, c.Undo.Verb, d)
	}
	for want, change := range map[string]func(*drills.Scene){
		"disposable":       func(s *drills.Scene) { s.System.Disposable = false },
		"needs a duration": func(s *drills.Scene) { s.Duration = 0 },
		"is exited":        func(s *drills.Scene) { s.Targets[0].State = "exited" },
		"has no dsn": func(s *drills.Scene) {
			x := s.System.Components["postgis"]
			x.Control = nil
			s.System.Components["postgis"] = x
		},
	} {
		s := storeScene("pg-2")
		change(&s)
		if _, err := f.Plan(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
