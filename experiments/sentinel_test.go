package experiments

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

func redisComponent() drills.Component {
	return drills.Component{Name: "redis", Roles: &drills.RoleSource{
		From: "sentinel", Master: "gad", Addresses: []string{"sentinel-1:26379", "sentinel-2:26379", "sentinel-3:26379"}, Password: "${env:SECRET}",
	}}
}

func secret(s string) (string, error) {
	if s != "${env:SECRET}" {
		return "", errors.New("unknown reference")
	}
	return "hush", nil
}

func TestSentinelResolvesASoundSystem(t *testing.T) {
	w := newTown(t)
	for _, a := range redisComponent().Roles.Addresses {
		w.sentinel(a, 3, func() string { return "redis-1" }, nil)
	}
	w.data("10.0.0.1:6379", "hush", func() string { return primaryInfo(1000, "redis-2", "redis-3") })
	w.data("10.0.0.2:6379", "hush", func() string { return replicaInfo("redis-1", 1000, "up") })
	w.data("10.0.0.3:6379", "hush", func() string { return replicaInfo("10.0.0.1", 1010, "up") })
	s := NewSentinel(w.dial, secret, nil)
	defer func() { _ = s.Close() }()
	members := redisMembers()
	v, err := s.Resolve(t.Context(), redisComponent(), members)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{members[0].ID: rolePrimary, members[1].ID: roleReplica, members[2].ID: roleReplica}
	if d := cmp.Diff(want, v.Roles); d != "" {
		t.Errorf("roles (-want +got):\n%s\n%s", d, v.Evidence)
	}
	if d := cmp.Diff([]string{members[0].ID}, v.Primaries); d != "" {
		t.Error(d)
	}
	if v.Disagreement != "" {
		t.Errorf("disagreement: %s", v.Disagreement)
	}
	lag := v.Facts["lag"]
	if lag.Unit != "s" || lag.Number < 0 || lag.Number > 0.5 {
		t.Errorf("lag %+v of replicas that have everything", lag)
	}
	delete(v.Facts, "lag")
	facts := map[string]drills.Fact{
		"replicas": {Number: 2}, "lag-bytes": {}, "sentinels": {Number: 3}, "quorum": {Word: "ok"}, "last-role-change": {Number: 15.5, Unit: "s"},
	}
	if d := cmp.Diff(facts, v.Facts); d != "" {
		t.Errorf("facts (-want +got):\n%s", d)
	}
}

func TestSentinelWithDeadNodesIsNoError(t *testing.T) {
	w := newTown(t)
	w.sentinel("sentinel-2:26379", 3, func() string { return "redis-1" }, nil)
	w.data("10.0.0.2:6379", "hush", func() string { return replicaInfo("redis-1", 1000, "down") })
	s := NewSentinel(w.dial, secret, nil)
	defer func() { _ = s.Close() }()
	members := redisMembers()
	members[2].State = "exited"
	v, err := s.Resolve(t.Context(), redisComponent(), members)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{members[1].ID: roleReplica}, v.Roles); d != "" {
		t.Error(d)
	}
	if v.Facts["quorum"].Word != "lost" || v.Facts["sentinels"].Number != 1 || v.Facts["replicas"].Number != 0 || len(v.Primaries) != 0 {
		t.Errorf("view %+v", v)
	}
	if _, ok := v.Facts["lag"]; ok {
		t.Error("a lag without a replica is made up")
	}
}

// A Sentinel in TILT answers every question as if all were well, and fails nothing over.
func TestSentinelInTiltHasNoVote(t *testing.T) {
	w := newTown(t)
	for _, a := range redisComponent().Roles.Addresses {
		w.sentinel(a, 3, func() string { return "redis-1" }, nil)
	}
	w.data("10.0.0.1:6379", "hush", func() string { return primaryInfo(1000) })
	s := NewSentinel(w.dial, secret, nil)
	defer func() { _ = s.Close() }()
	for i, want := range []string{"ok", "lost", "lost"} {
		w.tilt[redisComponent().Roles.Addresses[i]].Store(1)
		v, err := s.Resolve(t.Context(), redisComponent(), redisMembers())
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Facts["quorum"].Word; got != want || strings.Count(v.Evidence, "in TILT") != i+1 {
			t.Errorf("%d of three in TILT: quorum %s, want %s; %s", i+1, got, want, v.Evidence)
		}
	}
}

// Redis and its sentinels over TLS, with a password of their own each; secrets are references until they are used.
func TestSentinelOverTLS(t *testing.T) {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	w := newTown(t)
	w.tls, w.password = &tls.Config{Certificates: srv.TLS.Certificates, MinVersion: tls.VersionTLS12}, "hush"
	for _, a := range redisComponent().Roles.Addresses {
		w.sentinel(a, 3, func() string { return "redis-1" }, nil)
	}
	w.data("10.0.0.1:6379", "hush", func() string { return primaryInfo(1000) })
	resolve := func(over *drills.TLS, password string) drills.RoleView {
		t.Helper()
		s := NewSentinel(w.dial, secret, nil)
		defer func() { _ = s.Close() }()
		c := redisComponent()
		c.Roles.TLS, c.Roles.SentinelAuth = over, &drills.SentinelAuth{Password: password, TLS: over}
		v, err := s.Resolve(t.Context(), c, redisMembers())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	known := &drills.TLS{CA: ca, ServerName: "example.com"}
	if v := resolve(known, "${env:SECRET}"); len(v.Primaries) != 1 || v.Facts["sentinels"].Number != 3 {
		t.Errorf("with all that is needed: %s", v.Evidence)
	}
	if v := resolve(known, "guess"); v.Facts["sentinels"].Number != 0 {
		t.Errorf("with a wrong password: %s", v.Evidence)
	}
	if v := resolve(nil, "${env:SECRET}"); len(v.Primaries) != 0 || v.Facts["sentinels"].Number != 0 {
		t.Errorf("without TLS: %s", v.Evidence)
	}
}

func TestSentinelNeedsItsSecret(t *testing.T) {
	s := NewSentinel(newTown(t).dial, func(string) (string, error) { return "", errors.New("SECRET is not set") }, nil)
	if _, err := s.Resolve(t.Context(), redisComponent(), redisMembers()); err == nil || !strings.Contains(err.Error(), "SECRET is not set") {
		t.Errorf("error %v", err)
	}
}

func TestRedisViews(t *testing.T) {
	m := redisMembers()
	primary := func() dataWord { return dataWord{role: "master", offset: 10} }
	replica := func(of string) dataWord { return dataWord{role: "slave", follows: of, linked: true, offset: 10} }
	words := func(hosts ...string) []sentinelWord {
		var out []sentinelWord
		for i, h := range hosts {
			out = append(out, sentinelWord{addr: string(rune('a' + i)), host: h, epoch: 1, quorum: true})
		}
		return out
	}
	newer := words("redis-1", "redis-1", "redis-2")
	newer[2].epoch = 2
	cases := []struct {
		name      string
		sentinels []sentinelWord
		nodes     map[string]dataWord
		roles     map[string]string
		disagree  string
	}{
		{
			"sound", words("redis-1", "redis-1", "redis-1"),
			map[string]dataWord{m[0].ID: primary(), m[1].ID: replica("redis-1"), m[2].ID: replica("redis-1")},
			map[string]string{m[0].ID: rolePrimary, m[1].ID: roleReplica, m[2].ID: roleReplica},
			"",
		},
		{
			"partitioned primary and its successor", words("redis-2", "redis-2", "redis-2"),
			map[string]dataWord{m[0].ID: primary(), m[1].ID: primary(), m[2].ID: replica("redis-2")},
			map[string]string{m[0].ID: roleStalePrimary, m[1].ID: rolePrimary, m[2].ID: roleReplica},
			"redis-1 and redis-2 both say",
		},
		{
			"sentinels differ, the newest configuration wins", newer,
			map[string]dataWord{m[1].ID: primary(), m[2].ID: replica("redis-2")},
			map[string]string{m[1].ID: rolePrimary, m[2].ID: roleReplica},
			"different primaries: redis-1 (2), redis-2 (1)",
		},
		{
			"dead primary, not yet replaced", words("redis-1", "redis-1", "redis-1"),
			map[string]dataWord{m[1].ID: replica("redis-1"), m[2].ID: replica("redis-1")},
			map[string]string{m[1].ID: roleReplica, m[2].ID: roleReplica},
			"",
		},
		{
			"named by address", words("10.0.0.1"),
			map[string]dataWord{m[0].ID: primary()},
			map[string]string{m[0].ID: rolePrimary},
			"",
		},
		{
			"named node says replica", words("redis-1"),
			map[string]dataWord{m[0].ID: replica("redis-2")},
			map[string]string{m[0].ID: roleReplica},
			"which says that it is a replica",
		},
		{
			"named node is a stranger", words("redis-9"),
			map[string]dataWord{m[0].ID: primary()},
			map[string]string{m[0].ID: roleStalePrimary},
			"redis-9, which is not a member",
		},
		{
			"no sentinel, one claim", nil,
			map[string]dataWord{m[0].ID: primary(), m[1].ID: replica("redis-1")},
			map[string]string{m[0].ID: rolePrimary, m[1].ID: roleReplica},
			"no sentinel answered",
		},
		{
			"no sentinel, two claims", nil,
			map[string]dataWord{m[0].ID: primary(), m[1].ID: primary()},
			map[string]string{m[0].ID: roleStalePrimary, m[1].ID: roleStalePrimary},
			"both say",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := redisView("redis", m, redisAnswers{asked: 3, sentinels: c.sentinels, nodes: c.nodes}, nil)
			if d := cmp.Diff(c.roles, v.Roles); d != "" {
				t.Errorf("roles (-want +got):\n%s", d)
			}
			if c.disagree == "" && v.Disagreement != "" || !strings.Contains(v.Disagreement, c.disagree) {
				t.Errorf("disagreement %q, want %q", v.Disagreement, c.disagree)
			}
			for _, id := range v.Primaries {
				if c.nodes[id].role != "master" {
					t.Errorf("%s is among the primaries", id)
				}
			}
		})
	}
}

func TestLagBehind(t *testing.T) {
	t0 := time.Now()
	at := func(offset int64, ms int) position {
		return position{offset, t0.Add(time.Duration(ms) * time.Millisecond)}
	}
	cases := []struct {
		name    string
		replica position
		again   []position
		want    lagOf
	}{
		{"had everything before", at(100, -5), nil, lagOf{0, 0}},
		{"had everything 3 ms later", at(120, 3), nil, lagOf{3 * time.Millisecond, 0}},
		{"catches up", at(90, 1), []position{at(95, 40), at(100, 80)}, lagOf{80 * time.Millisecond, 0}},
		{"never does", at(90, 1), []position{at(91, 40), at(92, 80), at(93, 120), at(94, 160), at(95, 200)}, lagOf{9 * time.Second, 5}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			again := func(context.Context) (position, error) {
				if len(c.again) == 0 {
					return position{}, errors.New("asked too often")
				}
				p := c.again[0]
				c.again = c.again[1:]
				return p, nil
			}
			if got := lagBehind(t.Context(), at(100, 0), c.replica, again, 9*time.Second); got != c.want {
				t.Errorf("lag %+v, want %+v", got, c.want)
			}
		})
	}
}

func failoverOp(t *testing.T, within time.Duration) drills.Op {
	t.Helper()
	op, err := drills.NewOp(verbRedisFailover, "x", redisFailoverArgs{
		Mark: "run", Sentinels: []string{"sentinel-1:26379", "sentinel-2:26379"}, Master: "gad", From: nodeOf(redisMembers()[0]), Within: drills.Duration(within),
	})
	if err != nil {
		t.Fatal(err)
	}
	op.ID = "move.1.do"
	return op
}

func TestRedisFailover(t *testing.T) {
	var commands atomic.Int32
	var host atomic.Value
	cases := []struct {
		name   string
		before string
		answer func() string
		proven bool
		err    string
	}{
		{name: "moves", before: "redis-1", proven: true, answer: func() string { host.Store("redis-2"); return "+OK\r\n" }},
		{name: "refused", before: "redis-1", err: "NOGOODSLAVE", answer: func() string { return "-NOGOODSLAVE No suitable replica to promote\r\n" }},
		{name: "accepted and nothing happens", before: "redis-1", answer: func() string { return "+OK\r\n" }},
		{name: "moved since the plan", before: "redis-3", err: "names redis-3 as primary, not redis-1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			commands.Store(0)
			host.Store(c.before)
			w := newTown(t) // sentinel-1 is dead
			w.sentinel("sentinel-2:26379", 1, func() string { return host.Load().(string) }, func() string { commands.Add(1); return c.answer() })
			s := NewSentinel(w.dial, secret, nil)
			defer func() { _ = s.Close() }()
			began := time.Now()
			e, err := s.Apply(t.Context(), failoverOp(t, 200*time.Millisecond))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || e.Proven != c.proven || e.From.Before(began.Add(-time.Millisecond)) || e.To.Before(e.From) {
				t.Fatalf("effect %+v, error %v", e, err)
			}
			var ev moveEvidence
			if err := json.Unmarshal(e.Evidence, &ev); err != nil || ev.Asked != "sentinel-2:26379" || c.proven && ev.To != "redis-2" {
				t.Errorf("evidence %s", e.Evidence)
			}
			if again, _ := s.Apply(t.Context(), failoverOp(t, time.Minute)); !cmp.Equal(again, e) || commands.Load() != 1 {
				t.Errorf("a second do gave %+v after %d commands", again, commands.Load())
			}
			if there, err := s.Present(t.Context(), failoverOp(t, 0)); there || err != nil {
				t.Errorf("present %v, %v: a failover leaves nothing in force", there, err)
			}
		})
	}
	dead, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewSentinel(newTown(t).dial, secret, nil).Apply(dead, failoverOp(t, 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("on a dead context: %v", err)
	}
}
