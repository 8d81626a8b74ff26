package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

func pgComponent() drills.Component {
	return drills.Component{Name: "postgis", Roles: &drills.RoleSource{From: "patroni", Port: 5432}}
}

// pgTown is a sound cluster with pg-2 as leader; the named members' APIs are dead.
func pgTown(t *testing.T, dead ...string) (*town, *pgCluster) {
	w := newTown(t)
	c := &pgCluster{leader: "pg-2", line: 3, offsets: map[string]int64{"pg-1": 500, "pg-2": 500, "pg-3": 500}, history: "[]"}
	for addr, name := range map[string]string{"10.0.0.11:8008": "pg-1", "10.0.0.12:8008": "pg-2", "10.0.0.13:8008": "pg-3"} {
		if !strings.Contains(strings.Join(dead, " "), name) {
			w.patroni(addr, c.serve(name))
		}
	}
	return w, c
}

func TestPatroniResolvesASoundCluster(t *testing.T) {
	w, c := pgTown(t)
	c.history = `[[1,100,"no recovery target specified","2026-01-01T00:00:00+00:00","pg-1"],[2,200,"no recovery target specified","` +
		time.Now().Add(-90*time.Second).UTC().Format("2006-01-02T15:04:05.000000-07:00") + `","pg-2"]]`
	m := pgMembers()
	v, err := NewPatroni(w.dial, nil).Resolve(t.Context(), pgComponent(), m)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{m[0].ID: roleReplica, m[1].ID: rolePrimary, m[2].ID: roleReplica}, v.Roles); d != "" {
		t.Errorf("roles (-want +got):\n%s", d)
	}
	if !cmp.Equal(v.Primaries, []string{m[1].ID}) || v.Disagreement != "" {
		t.Errorf("primaries %v, disagreement %q", v.Primaries, v.Disagreement)
	}
	for fact, want := range map[string]drills.Fact{
		"replicas": {Number: 2}, "lag-bytes": {}, "timeline": {Number: 3}, "quorum": {Word: "ok"}, "paused": {Word: "no"},
	} {
		if got := v.Facts[fact]; got != want {
			t.Errorf("%s is %+v, want %+v", fact, got, want)
		}
	}
	if got := v.Facts["last-role-change"].Number; got < 89 || got > 120 {
		t.Errorf("last role change %v s ago, want about 90", got)
	}
	if got, ok := v.Facts["lag"]; !ok || got.Number > 1 {
		t.Errorf("lag %+v", got)
	}
}

func TestPatroniWithDeadMembersIsNoError(t *testing.T) {
	w, c := pgTown(t, "pg-1")
	c.offsets["pg-3"] = 400
	m := pgMembers()
	v, err := NewPatroni(w.dial, nil).Resolve(t.Context(), pgComponent(), m)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{m[1].ID: rolePrimary, m[2].ID: roleReplica}, v.Roles); d != "" {
		t.Error(d)
	}
	if v.Facts["lag-bytes"].Number != 100 || v.Facts["lag"].Number < 0.1 {
		t.Errorf("facts %+v of a replica that never catches up", v.Facts)
	}
	w, _ = pgTown(t, "pg-1", "pg-2", "pg-3")
	v, err = NewPatroni(w.dial, nil).Resolve(t.Context(), pgComponent(), m)
	if err != nil || len(v.Roles) != 0 || v.Facts["quorum"].Word != "lost" || !strings.Contains(v.Disagreement, "no Patroni answered") {
		t.Errorf("view %+v, error %v of a dead cluster", v, err)
	}
}

func TestPatroniViews(t *testing.T) {
	m := pgMembers()
	cluster := func(leader string) *patroniCluster {
		var c patroniCluster
		text := `{"members":[{"name":"x","host":"h","role":"replica"}]}`
		if leader != "" {
			text = `{"members":[{"name":"` + leader + `","host":"h","role":"leader"}]}`
		}
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		return &c
	}
	primary := pgWord{primary: true, patroniStatus: patroniStatus{State: "running", Role: "master", Line: 2}}
	replica := pgWord{patroniStatus: patroniStatus{State: "running", Role: "replica", Line: 2}}
	cases := []struct {
		name     string
		a        pgAnswers
		roles    map[string]string
		disagree string
	}{
		{
			"two answer as primary",
			pgAnswers{cluster: cluster("pg-3"), nodes: map[string]pgWord{m[0].ID: primary, m[2].ID: primary}},
			map[string]string{m[0].ID: roleStalePrimary, m[2].ID: rolePrimary},
			"pg-1 and pg-3 both answer as primary",
		},
		{
			"lock and answer differ",
			pgAnswers{cluster: cluster("pg-3"), nodes: map[string]pgWord{m[0].ID: primary, m[2].ID: replica}},
			map[string]string{m[0].ID: roleStalePrimary, m[2].ID: roleReplica},
			"held by pg-3, but pg-1 answers",
		},
		{
			"nobody holds the lock",
			pgAnswers{cluster: cluster(""), nodes: map[string]pgWord{m[0].ID: primary}},
			map[string]string{m[0].ID: roleStalePrimary},
			"nobody holds the leader lock",
		},
		{
			"no primary at the moment",
			pgAnswers{cluster: cluster(""), nodes: map[string]pgWord{m[0].ID: replica}},
			map[string]string{m[0].ID: roleReplica},
			"",
		},
		{
			"a stranger leads",
			pgAnswers{cluster: cluster("pg-9"), nodes: map[string]pgWord{m[0].ID: replica}},
			map[string]string{m[0].ID: roleReplica},
			"pg-9, which is not a member",
		},
		{
			"the store is out of reach",
			pgAnswers{nodes: map[string]pgWord{m[0].ID: primary, m[1].ID: replica}},
			map[string]string{m[0].ID: rolePrimary, m[1].ID: roleReplica},
			"no Patroni can say",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := pgView("postgis", m, c.a, nil)
			if d := cmp.Diff(c.roles, v.Roles); d != "" {
				t.Errorf("roles (-want +got):\n%s", d)
			}
			if c.disagree == "" && v.Disagreement != "" || !strings.Contains(v.Disagreement, c.disagree) {
				t.Errorf("disagreement %q, want %q", v.Disagreement, c.disagree)
			}
		})
	}
}

func TestSinceChange(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	entry := [][]any{{2.0, 1.0, "reason", "2026-05-01T11:59:00.5+00:00", "pg-1"}}
	cases := []struct {
		name    string
		history [][]any
		primary patroniStatus
		want    time.Duration
		ok      bool
	}{
		{"from the history", entry, patroniStatus{Line: 3}, 59500 * time.Millisecond, true},
		{"the history is behind", entry, patroniStatus{Line: 4}, 0, true},
		{"never changed", nil, patroniStatus{Line: 1, Started: "2026-05-01 11:00:00.250000+00:00"}, time.Hour - 250*time.Millisecond, true},
		{"not known", nil, patroniStatus{Line: 1, Started: "soon"}, 0, false},
		{"odd history", [][]any{{1.0}}, patroniStatus{Line: 1}, 0, false},
	}
	for _, c := range cases {
		if got, ok := sinceChange(c.history, pgWord{patroniStatus: c.primary}, now); got != c.want || ok != c.ok {
			t.Errorf("%s: %v %v, want %v %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestPatroniMoves(t *testing.T) {
	m := pgMembers()
	to := nodeOf(m[0])
	cases := []struct {
		name, verb string
		to         *node
		back       bool
		set        func(*pgCluster)
		proven     bool
		asked, err string
	}{
		{name: "switchover", verb: verbSwitchover, proven: true, asked: `/switchover {"leader":"pg-2"}`},
		{name: "switchover to", verb: verbSwitchover, to: &to, proven: true, asked: `/switchover {"candidate":"pg-1","leader":"pg-2"}`},
		{name: "failover", verb: verbFailover, to: &to, proven: true, asked: `/failover {"candidate":"pg-1"}`},
		{name: "refused", verb: verbFailover, to: &to, set: func(c *pgCluster) { c.refuse = "no good candidates" }, err: "no good candidates"},
		{name: "nothing happens", verb: verbFailover, to: &to, set: func(c *pgCluster) { c.stubborn = true }, asked: `/failover {"candidate":"pg-1"}`},
		{name: "moved since the plan", verb: verbSwitchover, set: func(c *pgCluster) { c.leader = "pg-3" }, err: `names "pg-3" as leader, not pg-2`},
		{name: "fail back", verb: verbSwitchover, to: &to, back: true, set: func(c *pgCluster) { c.leader = "pg-3" }, proven: true, asked: `/switchover {"candidate":"pg-1","leader":"pg-3"}`},
		{name: "fail back to whom it never left", verb: verbSwitchover, to: &to, back: true, set: func(c *pgCluster) { c.leader = "pg-1" }, err: "no role to hand back to pg-1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w, cluster := pgTown(t)
			if c.set != nil {
				c.set(cluster)
			}
			rest, err := restOf(m, *pgComponent().Roles)
			if err != nil {
				t.Fatal(err)
			}
			from := nodeOf(m[1])
			if c.back {
				from = node{}
			}
			op, err := drills.NewOp(c.verb, m[1].ID, postgresArgs{REST: rest, From: from, To: c.to, Within: drills.Duration(300 * time.Millisecond)})
			if err != nil {
				t.Fatal(err)
			}
			op.ID = "move.1.do"
			p := NewPatroni(w.dial, nil)
			began := time.Now()
			e, err := p.Apply(t.Context(), op)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || e.Proven != c.proven || e.From.Before(began.Add(-time.Millisecond)) || e.To.Before(e.From) {
				t.Fatalf("effect %+v, error %v", e, err)
			}
			if _, err := p.Apply(t.Context(), op); err != nil {
				t.Error(err)
			}
			cluster.mu.Lock()
			defer cluster.mu.Unlock()
			if d := cmp.Diff([]string{c.asked}, cluster.asked); d != "" {
				t.Errorf("asked (-want +got):\n%s", d)
			}
		})
	}
	dead, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewPatroni(newTown(t).dial, nil).Apply(dead, drills.Op{Verb: verbSwitchover}); !errors.Is(err, context.Canceled) {
		t.Errorf("on a dead context: %v", err)
	}
}
