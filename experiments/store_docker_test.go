package experiments

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
	"github.com/eevans-d/simulacro/experiments/store"
)

// asAgent makes the test binary the agent, so that it can be killed as a process of its own.
const asAgent = "SIMULACRO_TEST_STORE_AGENT"

func TestMain(m *testing.M) {
	if os.Getenv(asAgent) != "" {
		if store.Main(context.Background(), os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(asHelper) != "" {
		if helper.Main(context.Background(), os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// processes is a drills.Launcher of real processes on this machine.
type processes struct {
	mu   sync.Mutex
	last *process
}

// begin starts a process whose standard streams are a pipe of frames, and renews its lease.
func begin(cmd *exec.Cmd) (*process, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, in: in.Close, pipe: drills.NewPipe(out, in), quit: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go p.renew()
	return p, nil
}

func (l *processes) Start(_ context.Context, _ drills.Place, _ []string) (drills.Stream, error) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), asAgent+"=1")
	p, err := begin(cmd)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = p
	return p, nil
}

type process struct {
	cmd  *exec.Cmd
	in   func() error
	pipe *drills.Pipe
	quit chan struct{}
	once sync.Once
}

func (p *process) renew() {
	for t := time.NewTicker(time.Second); ; {
		select {
		case <-p.quit:
			t.Stop()
			return
		case <-t.C:
			_ = p.pipe.Send("renew", nil)
		}
	}
}

func (p *process) Send(f drills.Frame) error   { return p.pipe.Send(f.Type, f.Data) }
func (p *process) Recv() (drills.Frame, error) { return p.pipe.Recv() }

func (p *process) Close(ctx context.Context) error {
	p.once.Do(func() {
		close(p.quit)
		_ = p.in()
		stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
		defer stop()
		_ = p.cmd.Wait()
	})
	return nil
}

// needStores skips without an engine and the reference system's images, unless the suite is told to fail instead.
func needStores(t *testing.T) {
	t.Helper()
	if testing.Short() || os.Getenv("SIMULACRO_NO_DOCKER") != "" {
		t.Skip("needs Docker; not run with -short or SIMULACRO_NO_DOCKER")
	}
	if os.Getenv("SIMULACRO_E2E") == "short" {
		t.Skip("minutes on real servers: make test-all")
	}
	err := exec.Command("docker", "image", "inspect", "gad/redis:dev", "gad/patroni:dev").Run()
	if err != nil && os.Getenv("SIMULACRO_REQUIRE_DOCKER") != "" {
		t.Fatalf("SIMULACRO_REQUIRE_DOCKER is set and there is no engine, or not the images of make images: %v", err)
	}
	if err != nil {
		t.Skipf("no Docker engine, or not the images of make images: %v", err)
	}
}

// box is a container of a real server.
type box struct {
	t        *testing.T
	name, ip string
}

func newBox(t *testing.T, image, user, script, ready string) *box {
	t.Helper()
	b := &box{t: t, name: "simulacro-test-store-" + strings.ToLower(rand.Text()[:8])}
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "-fv", b.name).Run() })
	b.docker("run", "-d", "--name", b.name, "--memory", "256m", "--user", user, image, "bash", "-ec", script)
	b.ip = strings.TrimSpace(b.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", b.name))
	b.until("ready", func() bool { return exec.Command("docker", "exec", b.name, "bash", "-c", ready).Run() == nil })
	return b
}

func (b *box) docker(args ...string) string {
	b.t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		b.t.Fatalf("docker %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// in runs a shell command inside: the independent look.
func (b *box) in(script string) string {
	b.t.Helper()
	return strings.TrimSpace(b.docker("exec", b.name, "bash", "-c", script))
}

func (b *box) until(what string, ok func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(4 * time.Minute); !ok(); {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: never %s", b.name, what)
		}
		drills.Wait(b.t.Context(), 200*time.Millisecond)
	}
}

const redisCLI = "redis-cli --no-auth-warning -a hush --raw "

func newRedis(t *testing.T, flags string) *box {
	return newBox(t, "gad/redis:dev", "redis", "exec redis-server --protected-mode no --requirepass hush --save '' "+flags, redisCLI+"ping")
}

const psql = "psql -h /tmp -U app -d postgres -qAt -c "

func newPostgres(t *testing.T) *box {
	return newBox(t, "gad/patroni:dev", "postgres", `
		PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
		initdb -D /tmp/data --auth-local=trust --auth-host=scram-sha-256 --pwfile=<(echo hush) -U app --no-sync >/dev/null
		echo 'host all all all scram-sha-256' >>/tmp/data/pg_hba.conf; echo 'host replication all all trust' >>/tmp/data/pg_hba.conf
		exec postgres -D /tmp/data -c listen_addresses='*' -c unix_socket_directories=/tmp -c fsync=off -c max_connections=25`, psql+`"select 1"`)
}

// sceneOf is a scene with one component whose one target is the box.
func sceneOf(kind, role string, b *box) drills.Scene {
	m := drills.Member{ID: "id-" + b.name, Name: b.name, Component: "store", Role: role, State: "running", Healthy: true, Networks: map[string]string{"bridge": b.ip}}
	c := drills.Component{Name: "store", Kind: kind, Control: &drills.Control{Password: "${env:STORE}"}}
	if kind == "postgres" {
		c.Control = &drills.Control{DSN: "postgres://faults:${env:STORE}@" + b.ip + ":5432/postgres?sslmode=disable"}
	}
	return drills.Scene{
		Step: "s", Targets: []drills.Member{m}, Duration: drills.Duration(time.Minute), Run: "run" + rand.Text()[:6],
		System: &drills.System{Disposable: true, Components: map[string]drills.Component{"store": c}},
	}
}

// plannedChange is the first change that the fault plans for the scene.
func plannedChange(t *testing.T, kind, with string, s drills.Scene) drills.Change {
	t.Helper()
	if All()[kind].Info.Duration == "none" {
		s.Duration = 0
	}
	f, err := build(t, kind, with)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := f.Plan(s)
	if err != nil {
		t.Fatal(err)
	}
	c := changes[0]
	c.ID, c.Do.ID, c.Undo.ID = s.Run, s.Run+".do", s.Run+".undo"
	if strings.Contains(string(c.Do.Args), "hush") {
		t.Fatal("the password is in the plan")
	}
	return c
}

func newStores(t *testing.T, l drills.Launcher) *Stores {
	t.Helper()
	var d net.Dialer
	s := NewStores(l, d.DialContext, func(ref string) (string, error) { return strings.ReplaceAll(ref, "${env:STORE}", "hush"), nil }, nil, nil)
	t.Cleanup(func() { _ = s.Close(context.WithoutCancel(t.Context())) })
	return s
}

// storeCase is one fault on a real server.
type storeCase struct {
	kind, with string
	scene      drills.Scene
	traffic    string                // repeated inside the box while the fault is in force
	at         *box                  // where the independent look is
	look       string                // a shell command whose answer must be the same before and after
	harmed     func(now string) bool // what it answers under the fault; nil: another than before
	fact       string                // of the evidence, that must be above zero
}

func (c storeCase) change(t *testing.T, s *Stores) drills.Change {
	t.Helper()
	sc := c.scene
	sc.Run = "run" + rand.Text()[:6]
	ch, err := s.Prepare(t.Context(), plannedChange(t, c.kind, c.with, sc))
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// busy repeats the traffic until the returned function is called.
func (c storeCase) busy(t *testing.T) (stop func()) {
	if c.traffic == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_ = exec.CommandContext(ctx, "docker", "exec", c.at.name, "bash", "-c", "timeout 5 "+c.traffic).Run()
			drills.Wait(ctx, 50*time.Millisecond)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// force brings the fault about and checks that it is there, by its own word and by ours.
func (c storeCase) force(t *testing.T, s *Stores) (ch drills.Change, before string) {
	t.Helper()
	before = c.at.in(c.look)
	ch = c.change(t, s)
	if there, err := s.Present(t.Context(), ch.Do); err != nil || there {
		t.Fatalf("before: present %v %v", there, err)
	}
	stop := c.busy(t)
	e, err := s.Apply(t.Context(), ch.Do)
	stop()
	if err != nil || !e.Proven || e.From.IsZero() || e.To.Before(e.From) {
		t.Fatalf("do: %+v %v %s", e, err, e.Evidence)
	}
	t.Logf("%s: %s", c.kind, e.Evidence)
	var facts map[string]any
	if err := json.Unmarshal(e.Evidence, &facts); err != nil {
		t.Fatal(err)
	}
	if n, _ := facts[c.fact].(float64); c.fact != "" && n <= 0 {
		t.Errorf("evidence: %s is %v", c.fact, facts[c.fact])
	}
	if there, err := s.Present(t.Context(), ch.Do); err != nil || !there {
		t.Fatalf("in force: present %v %v", there, err)
	}
	if now := c.at.in(c.look); c.harmed != nil && !c.harmed(now) || c.harmed == nil && now == before {
		t.Fatalf("nothing is seen of it from outside: %q", now)
	}
	return ch, before
}

// clean checks that nothing is left, by our word and by that of the server's own tool.
func (c storeCase) clean(t *testing.T, s *Stores, ch drills.Change, before string) {
	t.Helper()
	if there, err := s.Present(t.Context(), ch.Do); err != nil || there {
		t.Fatalf("after: present %v %v", there, err)
	}
	if now := c.at.in(c.look); now != before {
		t.Fatalf("left behind: %q, before it was %q", now, before)
	}
}

// all runs the case with each end that a fault may have.
func (c storeCase) all(t *testing.T) {
	t.Run(c.kind, func(t *testing.T) {
		t.Run("undone", func(t *testing.T) {
			s := newStores(t, &processes{})
			ch, before := c.force(t, s)
			for i := range 2 {
				e, err := s.Apply(t.Context(), ch.Undo)
				if err != nil || i == 0 && (!e.Proven || e.Skipped != "") || i == 1 && e.Skipped == "" {
					t.Fatalf("undo %d: %+v %v", i, e, err)
				}
				c.clean(t, s, ch, before)
			}
		})
		t.Run("the agent is killed", func(t *testing.T) {
			l := &processes{}
			s := newStores(t, l)
			ch, before := c.force(t, s)
			if err := l.last.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			// Another process finishes, with nothing but what is in the journal.
			other := newStores(t, &processes{})
			if _, err := other.Apply(t.Context(), ch.Undo); err != nil {
				t.Fatal(err)
			}
			c.clean(t, other, ch, before)
		})
		t.Run("the stream ends", func(t *testing.T) {
			l := &processes{}
			s := newStores(t, l)
			ch, before := c.force(t, s)
			began := time.Now()
			if err := l.last.in(); err != nil {
				t.Fatal(err)
			}
			c.at.until("undone by itself", func() bool { return c.at.in(c.look) == before })
			t.Logf("undone after %v", time.Since(began))
			c.clean(t, s, ch, before)
		})
	})
}

func TestStoreFaultsOnRedis(t *testing.T) {
	needStores(t)
	r := newRedis(t, "--dir /tmp --maxmemory 20mb --maxmemory-policy allkeys-lru")
	sc := sceneOf("redis", "primary", r)
	settings := redisCLI + "config get maxmemory; " + redisCLI + "config get maxmemory-policy; " + redisCLI + "config get maxclients; " + redisCLI + "config get appendonly"
	ours := redisCLI + `client list | grep -c name=simulacro- || true; `
	keys := redisCLI + `--scan --pattern 'simulacro:*' | wc -l; `
	write := redisCLI + `eval "for i = 1, 500 do redis.call('set', 'app:' .. ARGV[1] .. i, string.rep('x', 2000)) end" 0 `
	r.in(write + "seed")
	for _, c := range []storeCase{
		{kind: "redis-maxmemory", with: `{"share":"80%"}`, traffic: redisCLI + "set app:1 x", look: settings, fact: "refused"},
		{kind: "redis-maxmemory", with: `{"share":"80%","policy":"allkeys-random"}`, traffic: write + "$RANDOM", look: settings, fact: "evicted"},
		{kind: "redis-eviction-storm", with: `{"rate":5000,"size":10000}`, look: keys + settings, fact: "evicted"},
		{kind: "redis-persistence", with: `{"appendonly":"yes","exposed":"200ms"}`, traffic: redisCLI + "set app:1 x", look: settings, fact: "changes_since_last_save"},
		{kind: "redis-slow-commands", with: `{"busy":"200ms","every":"500ms"}`, look: ours, fact: "busy_ms"},
		{kind: "connection-exhaustion", with: `{"connections":200}`, look: ours + settings, fact: "held"},
	} {
		c.scene, c.at = sc, r
		c.all(t)
	}
}

// TestRedisTakesNobodyElse: with its limit lowered, the server refuses whoever comes; it is found and undone all the same.
func TestRedisTakesNobodyElse(t *testing.T) {
	needStores(t)
	r := newRedis(t, "")
	s := newStores(t, &processes{})
	c := storeCase{kind: "connection-exhaustion", with: `{"lower-limit":40}`, scene: sceneOf("redis", "primary", r), at: r}
	ch := c.change(t, s)
	e, err := s.Apply(t.Context(), ch.Do)
	if err != nil || !e.Proven || !strings.Contains(string(e.Evidence), `"rejected"`) || strings.Contains(string(e.Evidence), `"rejected":0`) {
		t.Fatalf("%+v %v %s", e, err, e.Evidence)
	}
	out, _ := exec.Command("docker", "exec", r.name, "bash", "-c", redisCLI+"ping").CombinedOutput()
	if !strings.Contains(string(out), "max number of clients") {
		t.Errorf("somebody else got in: %s", out)
	}
	if _, err := s.Apply(t.Context(), ch.Undo); err != nil {
		t.Fatal(err)
	}
	if now := r.in(redisCLI + "config get maxclients; " + redisCLI + "client list | grep -c name=simulacro- || true"); now != "maxclients\n10000\n0" {
		t.Errorf("left behind: %q", now)
	}
}

// TestRedisOnce are the faults that happen once and leave nothing in force.
func TestRedisOnce(t *testing.T) {
	needStores(t)
	r := newRedis(t, "")
	s := newStores(t, &processes{})
	sc := sceneOf("redis", "primary", r)
	once := func(kind, with string) (drills.Effect, drills.Change) {
		ch := storeCase{kind: kind, with: with, scene: sc}.change(t, s)
		e, err := s.Apply(t.Context(), ch.Do)
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.Apply(t.Context(), ch.Do)
		if err != nil || !again.From.Equal(e.From) {
			t.Errorf("%s was done twice: %+v %v", kind, again, err)
		}
		if there, err := s.Present(t.Context(), ch.Do); err != nil || there || ch.Undo.Verb != "" {
			t.Errorf("%s: present %v %v, undo %q", kind, there, err, ch.Undo.Verb)
		}
		return e, ch
	}
	if e, _ := once("redis-flushall", ""); e.Proven {
		t.Errorf("flushing an empty store is proven: %s", e.Evidence)
	}
	r.in(redisCLI + "mset a 1 b 2 c 3; " + redisCLI + "-n 1 set d 4")
	e, ch := once("redis-flushall", "")
	if !e.Proven || ch.Class != drills.ClassIrreversible || r.in(redisCLI+"dbsize") != "0" || !strings.Contains(string(e.Evidence), `"keys_before":4`) {
		t.Errorf("%+v %s", e, e.Evidence)
	}
	sub := exec.Command("docker", "exec", r.name, "bash", "-c", redisCLI+"subscribe news")
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	r.until("subscribed", func() bool { return strings.Contains(r.in(redisCLI+"pubsub channels"), "news") })
	e, _ = once("redis-client-kill", `{"type":"pubsub"}`)
	if !e.Proven || !strings.Contains(string(e.Evidence), `"killed":1`) {
		t.Errorf("%+v %s", e, e.Evidence)
	}
	_ = sub.Wait() // its connection is gone: it ends, or comes back on its own
}

// TestRedisWithoutDisk: what a Redis took under `appendonly no` is gone after a restart; with the append-only file it is there.
func TestRedisWithoutDisk(t *testing.T) {
	needStores(t)
	for _, tt := range []struct{ set, want string }{{"no", "0"}, {"yes", "1"}} {
		r := newRedis(t, "--appendonly yes --appendfsync always --dir /tmp")
		s := newStores(t, &processes{})
		c := storeCase{kind: "redis-persistence", with: fmt.Sprintf(`{"appendonly":%q,"exposed":"0s"}`, tt.set), scene: sceneOf("redis", "primary", r), at: r}
		ch := c.change(t, s)
		if e, err := s.Apply(t.Context(), ch.Do); err != nil || !e.Proven {
			t.Fatalf("%+v %v", e, err)
		}
		r.in(redisCLI + "set later x")
		r.docker("restart", "-t", "0", r.name)
		r.until("back", func() bool { return exec.Command("docker", "exec", r.name, "bash", "-c", redisCLI+"ping").Run() == nil })
		r.ip = strings.TrimSpace(r.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", r.name))
		if got := r.in(redisCLI + "exists later"); got != tt.want {
			t.Errorf("appendonly %s: exists %s after the restart, want %s", tt.set, got, tt.want)
		}
		if e, err := s.Apply(t.Context(), ch.Undo); err != nil {
			t.Errorf("%+v %v", e, err)
		}
		if got := r.in(redisCLI + "config get appendonly"); got != "appendonly\nyes" {
			t.Errorf("left behind: %q", got)
		}
	}
}

// TestRedisSaysWhatIsMissing: a user without the rights is refused before anything is done, with what to grant.
func TestRedisSaysWhatIsMissing(t *testing.T) {
	needStores(t)
	r := newRedis(t, "")
	r.in(redisCLI + "acl setuser poor on '>hush' '~*' +info +ping +acl '+config|get' '+client|setname'")
	s := newStores(t, &processes{})
	sc := sceneOf("redis", "primary", r)
	c := sc.System.Components["store"]
	c.Control.Username = "poor"
	_, err := s.Prepare(t.Context(), plannedChange(t, "redis-maxmemory", "", sc))
	if drills.CodeOf(err) != drills.Blocked || !strings.Contains(err.Error(), "ACL SETUSER poor +config|set") {
		t.Errorf("maxmemory: %v", err)
	}
	c.Control.Username, c.Control.Password = "", "wrong"
	_, err = s.Prepare(t.Context(), plannedChange(t, "redis-maxmemory", "", sc))
	if drills.CodeOf(err) != drills.Blocked || !strings.Contains(err.Error(), "control:") {
		t.Errorf("wrong password: %v", err)
	}
}

func TestStoreFaultsOnPostgres(t *testing.T) {
	needStores(t)
	p := newPostgres(t)
	p.in(psql + `"create role faults login password 'hush'; create table tasks (id int primary key, owner int); alter table tasks owner to faults; insert into tasks select i, i % 10 from generate_series(1, 10000) i; create index by_owner on tasks (owner); comment on index by_owner is 'it''s ours'"`)
	sc := sceneOf("postgres", "primary", p)
	// A server without a free connection may refuse even its superuser for a moment: sessions that it has just refused still count.
	ours := `for try in 1 2 3 4 5 6 7 8 9 10; do ` + psql +
		`"select count(*) from pg_stat_activity where application_name like 'simulacro-%' and application_name <> 'simulacro-control'" 2>/dev/null && break; sleep 0.5; done; `
	index := psql + `"select indexdef, obj_description('by_owner'::regclass) from pg_indexes where indexname = 'by_owner'" 2>&1 || true; `
	s := newStores(t, &processes{})
	drop := plannedChange(t, "postgres-drop-index", `{"index":"public.by_owner"}`, sc)
	if _, err := s.Prepare(t.Context(), drop); drills.CodeOf(err) != drills.Blocked || !strings.Contains(err.Error(), "GRANT CREATE ON SCHEMA public TO faults") {
		t.Fatalf("a role that could drop the index and not make it again is let: %v", err)
	}
	p.in(psql + `"grant create on schema public to faults"`)
	for _, c := range []storeCase{
		{kind: "postgres-long-transaction", with: `{"sessions":3,"table":"public.tasks","rows":5}`, look: ours, harmed: func(now string) bool { return now == "3" }, fact: "transactions"},
		{kind: "postgres-lock-storm", with: `{"tables":["public.tasks"],"hold":"1s","gap":"100ms"}`, traffic: psql + `"select count(*) from tasks"`, look: ours, fact: "most_waiting"},
		{kind: "postgres-slow-queries", with: `{"sessions":2,"each":"1s"}`, look: ours, harmed: func(now string) bool { return now == "2" }, fact: "most_active"},
		{kind: "postgres-slow-queries", with: `{"sessions":2,"work":"sleep","each":"30s"}`, look: ours, fact: "most_active"},
		{kind: "postgres-drop-index", with: `{"index":"public.by_owner"}`, traffic: psql + `"select count(*) from tasks where owner = 3"`, look: index, fact: ""},
		{kind: "connection-exhaustion", look: ours, fact: "refused"},
	} {
		c.scene, c.at = sc, p
		c.all(t)
	}
}

// TestReplayPause: a replica that receives and does not apply, and a primary that has nothing to pause.
func TestReplayPause(t *testing.T) {
	needStores(t)
	p := newPostgres(t)
	p.in(psql + `"create role faults login password 'hush'"`)
	r := newBox(t, "gad/patroni:dev", "postgres", `
		PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
		pg_basebackup -h `+p.ip+` -U app -D /tmp/data -R -c fast --no-sync
		exec postgres -D /tmp/data -c listen_addresses='*' -c unix_socket_directories=/tmp -c fsync=off -c max_connections=25`, psql+`"select 1"`)
	s := newStores(t, &processes{})
	if _, err := s.Prepare(t.Context(), plannedChange(t, "postgres-replay-pause", "", sceneOf("postgres", "primary", p))); err == nil || !strings.Contains(err.Error(), "replays nothing") {
		t.Errorf("a primary: %v", err)
	}
	sc := sceneOf("postgres", "replica", r)
	if _, err := s.Prepare(t.Context(), plannedChange(t, "postgres-replay-pause", "", sc)); drills.CodeOf(err) != drills.Blocked || !strings.Contains(err.Error(), "GRANT EXECUTE ON FUNCTION pg_wal_replay_pause(), pg_wal_replay_resume() TO faults") {
		t.Errorf("no right: %v", err)
	}
	p.in(psql + `"grant execute on function pg_wal_replay_pause(), pg_wal_replay_resume() to faults"`)
	granted := func() bool {
		return r.in(psql+`"select has_function_privilege('faults', 'pg_wal_replay_pause()', 'execute')"`) == "t"
	}
	r.until("told of the grant", granted)
	ctx, cancel := context.WithCancel(t.Context())
	var writes sync.WaitGroup
	writes.Go(func() { // on the primary
		for drills.Wait(ctx, 100*time.Millisecond) {
			_ = exec.CommandContext(ctx, "docker", "exec", p.name, "bash", "-c", psql+`"select pg_logical_emit_message(true, 'x', 'y')"`).Run()
		}
	})
	defer writes.Wait()
	defer cancel()
	c := storeCase{kind: "postgres-replay-pause", scene: sc, at: r, look: psql + `"select pg_is_wal_replay_paused()"`, fact: "behind_bytes"}
	writes.Go(func() { // on the replica, as Patroni does in each of its loops
		for drills.Wait(ctx, 2*time.Second) {
			_ = exec.CommandContext(ctx, "docker", "exec", r.name, "bash", "-c", psql+`"select pg_wal_replay_resume()"`).Run()
		}
	})
	c.all(t)
	cancel()
	writes.Wait()
	r.in(psql + `"select pg_wal_replay_pause()"`)
	if _, err := s.Prepare(t.Context(), plannedChange(t, "postgres-replay-pause", "", sc)); err == nil || !strings.Contains(err.Error(), "paused already") {
		t.Errorf("somebody else's pause: %v", err)
	}
}
