package faultlab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/zap/zaptest"

	"github.com/eevans-d/simulacro/compose/grupogad/api/auth"
	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier/load"
)

// The faults of clients that fall silent, from a vantage in a network, against the reference API in a container of its own. It
// needs neither Redis nor PostgreSQL for what is looked at here.

const (
	jwtSecret  = "faultlab-faultlab-faultlab"
	apiSilence = 3 * time.Second
)

// api is the reference API in a network of the lab.
type api struct {
	l      *lab
	m      drills.Member
	base   string
	token  string
	load   *load.Actuator
	killed chan string // what OnEnd told
	begun  int
}

// apiImage builds the API's image and removes it at the end.
func (l *lab) apiImage() string {
	l.t.Helper()
	dir := l.t.TempDir()
	build := exec.Command("go", "build", "-p", "1", "-trimpath", "-o", filepath.Join(dir, "api"), "../../../../compose/grupogad/api")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		l.t.Fatalf("build the API: %v\n%s", err, out)
	}
	name := l.project + "-api:test"
	script := `tar -C "$0" -c api | docker import -c 'ENTRYPOINT ["/api"]' - "$1" >/dev/null`
	if out, err := exec.Command("sh", "-c", script, dir, name).CombinedOutput(); err != nil {
		l.t.Fatalf("import the API: %v\n%s", err, out)
	}
	l.t.Cleanup(func() { l.try("rmi", "-f", name) })
	return name
}

func newAPI(t *testing.T, env ...string) *api {
	t.Helper()
	l := newLab(t, false)
	image := l.apiImage()
	network := l.project + "_net"
	l.docker("network", "create", "--label", "com.docker.compose.project="+l.project, "--label", "com.docker.compose.network=net", network)
	t.Cleanup(func() { l.try("network", "rm", network) })
	t.Cleanup(l.remove) // containers go before their network
	args := []string{
		"run", "-d", "--label", "com.docker.compose.project=" + l.project, "--label", "com.docker.compose.service=api",
		"--label", "com.docker.compose.container-number=1", "--label", "com.docker.compose.oneoff=False", "--network", network,
		"-e", "JWT_SECRET=" + jwtSecret, "-e", "DATABASE_URL=postgres://u:p@127.0.0.1:1/d", "-e", "REDIS_ADDR=127.0.0.1:1",
		"-e", "ADMIN_PASSWORD=unused-here", "-e", "WS_SILENCE=" + apiSilence.String(),
	}
	for _, e := range env {
		args = append(args, "-e", e)
	}
	a := &api{l: l, killed: make(chan string, 1)}
	a.m = l.now(l.docker(append(args, image)...))
	for _, address := range a.m.Networks {
		a.base = "http://" + address + ":8000"
	}
	tokens, err := auth.NewTokens(jwtSecret, time.Hour)
	if err == nil {
		a.token, err = tokens.Issue(auth.Identity{UserID: "1", Role: auth.RoleAdmin})
	}
	if err != nil {
		t.Fatal(err)
	}
	a.load = load.NewActuator(l.e.Launcher(l.run), nil, nil, zaptest.NewLogger(t)).OnEnd(func(change, why string) { a.killed <- change + ": " + why })
	l.eventually("the API answers", 30*time.Second, func() bool { _, ok := a.value("ggrt_active_connections"); return ok })
	return a
}

// value is a metric of the API.
func (a *api) value(name string) (float64, bool) {
	res, err := http.Get(a.base + "/metrics")
	if err != nil {
		return 0, false
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	m := regexp.MustCompile(`(?m)^` + name + `(?:\{[^}]*\})? (\S+)$`).FindSubmatch(b)
	if m == nil {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	return v, err == nil
}

func (a *api) active(n float64) func() bool {
	return func() bool { v, ok := a.value("ggrt_active_connections"); return ok && v == n }
}

// begin does the fault and wants it proven.
func (a *api) begin(kind string, options with) drills.Change {
	a.l.t.Helper()
	options["path"], options["port"] = "/ws/connect?token="+a.token, 8000
	c := a.l.plan(kind, options, a.m)
	a.begun++ // nothing is done twice under one id
	c.ID += "-" + strconv.Itoa(a.begun)
	c.Do.ID, c.Undo.ID = c.ID+".do", c.ID+".undo"
	e, err := a.load.Apply(a.l.t.Context(), c.Do)
	if err != nil || !e.Proven {
		a.l.t.Fatalf("%s: %s proven %t, %v", kind, e.Evidence, e.Proven, err)
	}
	a.l.t.Logf("%s %s", kind, e.Evidence)
	return c
}

// lift undoes it and returns what was measured.
func (a *api) lift(c drills.Change) drills.QuietClients {
	a.l.t.Helper()
	e, err := a.load.Apply(a.l.t.Context(), c.Undo)
	var m drills.LoadMeasured
	if err == nil {
		err = json.Unmarshal(e.Evidence, &m)
	}
	if err != nil || m.Quiet == nil {
		a.l.t.Fatalf("%+v %s: %v", e, e.Evidence, err)
	}
	a.l.t.Log(m.Quiet.String(), m.Quiet.Ends)
	if there, err := a.load.Present(a.l.t.Context(), c.Do); there || err != nil {
		a.l.t.Errorf("still present: %t %v", there, err)
	}
	a.l.clean(a.m.ID)
	if ids := a.l.try("ps", "-aq", "--filter", "label=io.simulacro.run="+a.l.run.Run); ids != "" {
		a.l.t.Errorf("containers left: %s", ids)
	}
	return *m.Quiet
}

// TestHalfOpenSocketsAreReaped: a server that looks after its peers is seen to cut all of them in its time, and one that does
// not is seen to keep all of them. Whatever becomes of our process, the server is left with none.
func TestHalfOpenSocketsAreReaped(t *testing.T) {
	const n = 30
	t.Run("sound", func(t *testing.T) {
		a := newAPI(t)
		c := a.begin("half-open-sockets", with{"connections": n, "ramp": "500ms"})
		if !a.active(n)() {
			t.Error("the server does not have the clients that have just vanished")
		}
		a.l.eventually("the server's own gauge is 0", 4*apiSilence, a.active(0))
		q := a.lift(c)
		if q.Silent != n || q.Ended != n || q.Held+q.Unclear+q.Unproven != 0 {
			t.Errorf("%s", q)
		}
		// The ramp and the proof lie between the last sign of life and the silence.
		if q.First.Hi.D() < apiSilence || q.Last.Hi.D() > 2*apiSilence+2*time.Second {
			t.Errorf("the first was cut after %s, the last after %s, with a limit of %v", q.First, q.Last, 2*apiSilence)
		}
		if v, _ := a.value("ggrt_silent_peers_cut_total"); v != n {
			t.Errorf("the server says that it cut %v", v)
		}
	})
	t.Run("kept", func(t *testing.T) {
		a := newAPI(t, "DEFECTS=half-open-kept")
		c := a.begin("half-open-sockets", with{"connections": n, "ramp": "500ms"})
		time.Sleep(3 * apiSilence)
		if !a.active(n)() {
			t.Error("the server has fewer than it keeps")
		}
		if q := a.lift(c); q.Held != n || q.Ended+q.Unclear+q.Unproven != 0 || q.Unanswered < n {
			t.Errorf("%s", q)
		}
		a.l.eventually("nothing is left at the server", 5*time.Second, a.active(0))
		c = a.begin("half-open-sockets", with{"connections": n, "ramp": "500ms"})
		a.l.docker("kill", a.l.try("ps", "-q", "--filter", "label=io.simulacro.run="+a.l.run.Run))
		a.l.eventually("nothing is left at the server after a kill -9", 10*time.Second, a.active(0))
		if got := <-a.killed; !strings.HasPrefix(got, c.ID+": ") {
			t.Errorf("told %q", got)
		}
	})
}

// listener is a client that reads as it should; longest is the longest that a message was on its way.
type listener struct {
	mu      sync.Mutex
	got     int
	longest time.Duration
	err     error
}

// listen follows the topic from the test's own process until the test ends.
func (a *api) listen(topic string) *listener {
	a.l.t.Helper()
	conn, br, _, err := ws.Dial(a.l.t.Context(), "ws"+strings.TrimPrefix(a.base, "http")+"/ws/connect?token="+a.token)
	if err != nil {
		a.l.t.Fatal(err)
	}
	if br != nil {
		ws.PutReader(br)
	}
	a.l.t.Cleanup(func() { _ = conn.Close() })
	if err := wsutil.WriteClientText(conn, []byte(`{"event_type":"subscribe","data":{"events":["`+topic+`"]}}`)); err != nil {
		a.l.t.Fatal(err)
	}
	out := &listener{}
	go func() {
		for {
			b, err := wsutil.ReadServerText(conn)
			out.take(b, err)
			if err != nil {
				return
			}
		}
	}()
	return out
}

func (x *listener) take(b []byte, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err != nil {
		x.err = err
		return
	}
	var e struct{ Data struct{ Content string } }
	_ = json.Unmarshal(b, &e)
	sent, _, ok := strings.Cut(e.Data.Content, ":")
	if ns, err := strconv.ParseInt(sent, 10, 64); ok && err == nil {
		x.got++
		x.longest = max(x.longest, time.Since(time.Unix(0, ns)))
	}
}

func (x *listener) so() (int, time.Duration, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.got, x.longest, x.err
}

// publish sends messages of 8 KiB, every 50 ms, until the returned function is called, which says how many were accepted.
func (a *api) publish(topic string) (stop func() int) {
	ended, done := make(chan struct{}), make(chan int)
	go func() {
		var out sync.WaitGroup
		tick, n := time.NewTicker(50*time.Millisecond), 0
		defer tick.Stop()
		for {
			select {
			case <-ended:
				out.Wait()
				done <- n
				return
			case <-tick.C:
				n++
				out.Go(func() { a.post(topic) })
			}
		}
	}()
	return func() int { close(ended); return <-done }
}

func (a *api) post(topic string) {
	body := fmt.Sprintf(`{"title":"x","level":"info","topic":%q,"content":"%d:%s"}`, topic, time.Now().UnixNano(), bytes.Repeat([]byte("x"), 8<<10))
	req, _ := http.NewRequest(http.MethodPost, a.base+"/ws/_test/broadcast", strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", "application/json")
	if res, err := http.DefaultClient.Do(req); err == nil {
		_ = res.Body.Close()
	} else {
		a.l.t.Errorf("publish: %v", err)
	}
}

// TestSlowConsumersAndTheOthers: a server with queues drops those who do not read, and whoever reads notices nothing; one that
// sends to one after the other holds everybody up.
func TestSlowConsumersAndTheOthers(t *testing.T) {
	const n = 20
	for name, c := range map[string]struct {
		env    []string
		stalls bool
	}{
		"sound":  {[]string{"WS_QUEUE=16", "WS_SILENCE=1m"}, false},
		"blocks": {[]string{"WS_QUEUE=16", "WS_SILENCE=1m", "DEFECTS=slow-consumer-blocks"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, c.env...)
			others := a.listen("t1")
			stop := a.publish("t1")
			fault := a.begin("slow-consumers", with{"connections": n, "ramp": "500ms", "topic": "t1", "prove": "20s"})
			if c.stalls {
				time.Sleep(5 * time.Second)
			} else {
				a.l.eventually("the server is rid of those who do not read", 60*time.Second, a.active(1))
			}
			q := a.lift(fault)
			a.l.eventually("nobody else is left", 10*time.Second, a.active(1))
			sent := stop()
			got, longest, err := others.so()
			t.Logf("%d of %d messages, the longest on its way for %v", got, sent, longest)
			if q.Silent != n || q.Closed != n || q.Unread < n*1000 {
				t.Errorf("%s", q)
			}
			if want := map[bool]int{false: n, true: 0}[c.stalls]; q.Ended != want || q.Held != n-want {
				t.Errorf("%s", q)
			}
			if stalls := longest > 2*time.Second; stalls != c.stalls || err != nil || got < sent-1 {
				t.Errorf("the others were held up for %v, got %d of %d, %v", longest, got, sent, err)
			}
			dropped, _ := a.value("ggrt_slow_consumers_dropped_total")
			if want := map[bool]float64{false: n, true: 0}[c.stalls]; dropped != want {
				t.Errorf("the server says that it dropped %v, want %v", dropped, want)
			}
		})
	}
}
