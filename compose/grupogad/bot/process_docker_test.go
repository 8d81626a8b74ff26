package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const redisImage = "gad/redis:dev"

// programs builds the bot and the stand-in once per test process, into a folder that TestMain removes.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "bot")
	if err != nil {
		return "", err
	}
	built.Store(dir)
	out, err := exec.Command("go", "build", "-o", dir+string(filepath.Separator), ".", "../telegram").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return dir, err
})

var built atomic.Value

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, ok := built.Load().(string); ok {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// rig is the real bot and the real stand-in as processes, and a Redis of our own; the API is the test's.
type rig struct {
	t        *testing.T
	dir      string
	redis    *redis.Client
	telegram string // host:port
	listen   string // the bot's
	env      []string
	bot      *exec.Cmd
}

// newRig needs Docker for Redis: SIMULACRO_REQUIRE_DOCKER=1 makes its lack a failure, SIMULACRO_NO_DOCKER=1 leaves the test out.
func newRig(t *testing.T, api http.Handler) *rig {
	t.Helper()
	if os.Getenv("SIMULACRO_NO_DOCKER") == "1" {
		t.Skip("SIMULACRO_NO_DOCKER=1")
	}
	if err := exec.CommandContext(t.Context(), "docker", "image", "inspect", redisImage).Run(); err != nil {
		if os.Getenv("SIMULACRO_REQUIRE_DOCKER") == "1" {
			t.Fatalf("no image %s: %v; make images", redisImage, err)
		}
		t.Skipf("no image %s; make images", redisImage)
	}
	r := &rig{t: t, telegram: free(t), listen: free(t)}
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	r.dir = dir
	id := r.run("docker", "run", "-d", "--rm", "--user", "redis", "--label", "io.simulacro.test=bot", redisImage,
		"redis-server", "--save", "", "--protected-mode", "no", "--dir", "/tmp")
	t.Cleanup(func() { r.run("docker", "rm", "-f", id) })
	addr := r.run("docker", "inspect", "-f", "{{.NetworkSettings.IPAddress}}", id) + ":6379"
	r.redis = redis.NewClient(&redis.Options{Addr: addr, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = r.redis.Close() })
	h := httptest.NewServer(api)
	t.Cleanup(h.Close)
	r.env = append(os.Environ(), "LISTEN="+r.listen, "TELEGRAM_URL=http://"+r.telegram, "TELEGRAM_TOKEN=1:x", "TELEGRAM_POLL=2s",
		"API_URL="+h.URL, "API_PASSWORD=p", "REDIS_ADDR="+addr)
	_ = r.start("telegram", append(os.Environ(), "LISTEN="+r.telegram, "TELEGRAM_TOKEN=1:x"))
	r.startBot()
	return r
}

func free(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (r *rig) run(name string, args ...string) string {
	r.t.Helper()
	out, err := exec.CommandContext(context.WithoutCancel(r.t.Context()), name, args...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *rig) start(name string, env []string) *exec.Cmd {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), filepath.Join(r.dir, name))
	cmd.Env, cmd.SysProcAttr = env, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

func (r *rig) startBot(env ...string) { r.bot = r.start("bot", append(r.env, env...)) }

// crash is what a host does to a process that it has no memory for.
func (r *rig) crash() {
	_ = r.bot.Process.Kill()
	_ = r.bot.Wait()
}

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(90 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("never: %s", what)
		}
	}
}

func (r *rig) ask(method, url, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

// issue is what the API does with a notification.
func (r *rig) issue(prefix string, n int) {
	r.t.Helper()
	for i := range n {
		values := map[string]any{"id": fmt.Sprintf("%s-%d", prefix, i), "chat_id": "7", "text": "t"}
		r.eventually("Redis takes it", func() bool {
			return r.redis.XAdd(r.t.Context(), &redis.XAddArgs{Stream: "gad:notifications", Values: values}).Err() == nil
		})
	}
}

// delivered counts by notification what is in the chat.
func (r *rig) delivered(prefix string) map[string]int {
	r.t.Helper()
	_, body := r.ask(http.MethodGet, "http://"+r.telegram+"/_reference/messages?chat=7&limit=10000", "")
	var list []struct{ Data string }
	_ = json.Unmarshal([]byte(body), &list) // a stand-in that is not up yet has delivered nothing
	out := map[string]int{}
	for _, m := range list {
		if strings.HasPrefix(m.Data, prefix+"-") {
			out[m.Data]++
		}
	}
	return out
}

func twice(by map[string]int) (n int) {
	for _, c := range by {
		n += c - 1
	}
	return n
}

func (r *rig) metric(name, label string) string {
	r.t.Helper()
	_, body := r.ask(http.MethodGet, "http://"+r.listen+"/metrics", "")
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, name) && strings.Contains(line, label) {
			return strings.TrimSpace(line[strings.LastIndex(line, " ")+1:])
		}
	}
	return ""
}

// oneTask is an API with what /crear and /estadisticas need; while down it does nothing.
type oneTask struct {
	mu    sync.Mutex
	made  map[string]int // by code
	marks map[string]string
	down  bool
}

func (o *oneTask) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	code, byCode := strings.CutPrefix(req.URL.Path, "/tasks/code/")
	switch {
	case o.down:
		w.WriteHeader(http.StatusServiceUnavailable)
	case req.URL.Path == "/auth/login":
		_, _ = io.WriteString(w, `{"access_token": "t"}`)
	case req.Method == http.MethodPost:
		var in struct{ Codigo, Descripcion string }
		_ = json.NewDecoder(req.Body).Decode(&in)
		if o.made[in.Codigo] > 0 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		o.made[in.Codigo]++
		o.marks[in.Codigo] = in.Descripcion
		fmt.Fprintf(w, `{"id": 5, "codigo": %q}`, in.Codigo)
	case byCode:
		fmt.Fprintf(w, `{"id": 5, "codigo": %q, "descripcion": %q}`, code, o.marks[code])
	default:
		_, _ = io.WriteString(w, `{"total": 3}`)
	}
}

func (o *oneTask) set(down bool) { o.mu.Lock(); defer o.mu.Unlock(); o.down = down }

// TestCrashesLoseNothing: a bot that is killed again and again in the middle of its work loses no notification, sends at most the
// one again that was under way at each crash, and answers each command of a user. With the defect, what it held is lost.
func TestCrashesLoseNothing(t *testing.T) {
	api := &oneTask{made: map[string]int{}, marks: map[string]string{}}
	r := newRig(t, api)
	r.eventually("Telegram is there", func() bool {
		s, _ := r.ask(http.MethodGet, "http://"+r.telegram+"/_reference/health", "")
		return s == 200
	})
	r.ask(http.MethodPut, "http://"+r.telegram+"/_reference/faults", `{"latency": "30ms", "methods": ["sendMessage"]}`)
	const crashes, each = 5, 40
	for round := range crashes {
		r.issue(fmt.Sprint("a", round), each)
		for n := range 3 {
			r.ask(http.MethodPost, "http://"+r.telegram+"/_reference/commands", fmt.Sprintf(`{"text": "/crear C-%d-%d x", "no_wait": true}`, round, n))
		}
		r.eventually("it is at work", func() bool { return len(r.delivered(fmt.Sprint("a", round))) > 3 })
		r.crash()
		r.startBot()
	}
	again := 0
	for round := range crashes {
		p := fmt.Sprint("a", round)
		r.eventually("all of "+p, func() bool { return len(r.delivered(p)) == each })
		again += twice(r.delivered(p))
	}
	if again > crashes {
		t.Errorf("%d came again after %d crashes", again, crashes)
	}
	r.eventually("every task made", func() bool { api.mu.Lock(); defer api.mu.Unlock(); return len(api.made) == 3*crashes })
	for code, n := range api.made {
		if n != 1 {
			t.Errorf("%s was made %d times", code, n)
		}
	}
	t.Logf("%d crashes, %d notifications, %d came again", crashes, crashes*each, again)
}

// TestNeverReclaimsLoses is the same with the defect: it must show.
func TestNeverReclaimsLoses(t *testing.T) {
	r := newRig(t, &oneTask{})
	r.eventually("Telegram is there", func() bool {
		s, _ := r.ask(http.MethodGet, "http://"+r.telegram+"/_reference/health", "")
		return s == 200
	})
	r.ask(http.MethodPut, "http://"+r.telegram+"/_reference/faults", `{"latency": "100ms", "methods": ["sendMessage"]}`)
	r.issue("b", 20)
	r.eventually("it is at work", func() bool { return len(r.delivered("b")) > 2 })
	r.crash()
	r.startBot("DEFECTS=never-reclaims")
	r.issue("c", 5)
	r.eventually("what is new", func() bool { return len(r.delivered("c")) == 5 })
	if n := len(r.delivered("b")); n == 20 {
		t.Error("nothing was lost, so the defect does nothing")
	}
}

// TestTelegramMisbehaves: whatever Telegram does, what was issued meanwhile arrives once when it is over, and the retries are
// counted under what was wrong.
func TestTelegramMisbehaves(t *testing.T) {
	r := newRig(t, &oneTask{})
	r.eventually("the bot is ready", func() bool { s, _ := r.ask(http.MethodGet, "http://"+r.listen+"/health/ready", ""); return s == 200 })
	for reason, fault := range map[string]string{
		"429":        `{"status": 429, "retry_after": 1, "methods": ["sendMessage"]}`,
		"5xx":        `{"status": 502, "methods": ["sendMessage"]}`,
		"timeout":    `{"hang": true, "methods": ["sendMessage"]}`,
		"connection": `{"reset": true, "methods": ["sendMessage"]}`,
	} {
		t.Run(reason, func(t *testing.T) {
			r.ask(http.MethodPut, "http://"+r.telegram+"/_reference/faults", fault)
			r.issue(reason, 10)
			r.eventually("a retry is counted", func() bool { n := r.metric("bot_retries_total", `reason="`+reason+`"`); return n != "0" && n != "" })
			if got := r.delivered(reason); len(got) != 0 {
				t.Errorf("%d arrived although every call fails", len(got))
			}
			r.ask(http.MethodDelete, "http://"+r.telegram+"/_reference/faults", "")
			r.eventually("all arrive", func() bool { return len(r.delivered(reason)) == 10 })
			if n := twice(r.delivered(reason)); n != 0 {
				t.Errorf("%d came twice", n)
			}
		})
	}
}

// TestAPIDownIsAnsweredHonestly: a command that needs an API that is down gets an answer, soon, and it is not a success; when the
// API is back, so is the answer.
func TestAPIDownIsAnsweredHonestly(t *testing.T) {
	api := &oneTask{made: map[string]int{}, marks: map[string]string{}}
	r := newRig(t, api)
	r.eventually("the bot is ready", func() bool { s, _ := r.ask(http.MethodGet, "http://"+r.listen+"/health/ready", ""); return s == 200 })
	ask := func() (int, string) {
		return r.ask(http.MethodPost, "http://"+r.telegram+"/_reference/commands", `{"text": "/estadisticas", "within": "20s", "expect": "Estadísticas"}`)
	}
	if s, body := ask(); s != 200 {
		t.Fatalf("%d %s", s, body)
	}
	api.set(true)
	if s, body := ask(); s != http.StatusBadGateway || !strings.Contains(body, "no está disponible") {
		t.Errorf("%d %s", s, body)
	}
	api.set(false)
	r.eventually("it answers again", func() bool { s, _ := ask(); return s == 200 })
	if n := r.metric("bot_retries_total", `reason="api"`); n == "0" {
		t.Error("the API was not asked a second time")
	}
}
