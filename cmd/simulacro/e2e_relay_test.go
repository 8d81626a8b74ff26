package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// relay is a TCP relay that records which SETs it saw acknowledged. It reads the protocol by itself and shares no code with
// the canary.
type relay struct {
	to    string
	l     net.Listener
	wg    sync.WaitGroup
	mu    sync.Mutex
	acked map[string]bool
}

func startRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{to: to, l: l, acked: map[string]bool{}}
	r.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); r.wg.Wait() })
	return r
}

// serve relays one connection, pairing replies with requests in their order.
func (r *relay) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer server.Close()
	asked := make(chan []string, 1<<16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.replies(io.TeeReader(server, client), asked)
		_ = client.(*net.TCPConn).CloseWrite() // what was relayed must arrive: a plain close may throw it away
	}()
	in := bufio.NewReader(io.TeeReader(client, server))
	for {
		words, err := request(in)
		if err != nil {
			break
		}
		asked <- words
	}
	_ = client.SetReadDeadline(time.Now().Add(2 * time.Second))
	_, _ = io.Copy(io.Discard, client)
	server.Close()
	<-done
}

// request reads one RESP array of bulk strings.
func request(in *bufio.Reader) ([]string, error) {
	n, err := count(in, '*')
	if err != nil {
		return nil, err
	}
	var words []string
	for range n {
		size, err := count(in, '$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(in, b); err != nil {
			return nil, err
		}
		words = append(words, string(b[:size]))
	}
	return words, nil
}

func count(in *bufio.Reader, mark byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != mark {
		return 0, fmt.Errorf("want %c, got %q", mark, line)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

func (r *relay) replies(from io.Reader, asked <-chan []string) {
	in := bufio.NewReader(from)
	for {
		first, err := skipReply(in)
		if err != nil {
			return
		}
		words := <-asked
		r.mu.Lock()
		switch {
		case strings.EqualFold(words[0], "set") && first == "+OK":
			r.acked[words[1]] = true
		case strings.EqualFold(words[0], "unlink") && first == ":1": // taken back by its writer: not lost
			delete(r.acked, words[1])
		}
		r.mu.Unlock()
	}
}

// skipReply reads one reply of any type and returns its first line.
func skipReply(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	n, _ := strconv.Atoi(line[1:])
	switch line[0] {
	case '$':
		if n >= 0 {
			_, err = io.CopyN(io.Discard, in, int64(n+2))
		}
	case '*', '~', '>':
		for range n {
			if _, err = skipReply(in); err != nil {
				break
			}
		}
	case '%':
		for range 2 * n {
			if _, err = skipReply(in); err != nil {
				break
			}
		}
	}
	return line, err
}

// TestLostWritesAreCountedExactly: the partition loses acknowledged writes, and our count equals what the relay on the
// canary's connection saw acknowledged, less what redis-cli reads from the members afterwards.
func TestLostWritesAreCountedExactly(t *testing.T) {
	e2e(t, true)
	whole(t)
	primary := redisPrimaries(t)[0]
	addr := docker(t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", service(t, primary)) + ":6379"
	r := startRelay(t, addr)
	system := relaySystem(t, r.l.Addr().String())
	rec, _ := runDrill(t, t.TempDir(), system, e2eDrill("e2e-redis-partition"))
	i := -1
	for k, c := range rec.Canaries {
		if c.Name == "redis-pinned" {
			i = k
		}
	}
	if i < 0 {
		t.Fatal("no measured canary redis-pinned")
	}
	c := rec.Canaries[i]
	found := survivors(t, "simulacro:"+rec.Opened.Run+":pinned:*")
	lost := 0
	for key := range r.acked {
		if !found[key] {
			lost++
		}
	}
	t.Logf("relay saw %d acknowledged, redis-cli finds %d, lost %d; the canary says %d acknowledged, %d lost", len(r.acked), len(found), lost, c.Acked, c.Lost)
	if lost == 0 || c.Lost != lost || c.Acked != len(r.acked) {
		t.Errorf("canary: %d acked, %d lost; relay and redis-cli: %d acked, %d lost", c.Acked, c.Lost, len(r.acked), lost)
	}
	if rec.Dirty || rec.Outcome == drills.Invalid {
		t.Errorf("%s %s", rec.Outcome, rec.Sentence)
	}
}

// relaySystem is the reference system with its pinned canary going through the relay, from the host, and not purged.
func relaySystem(t *testing.T, addr string) string {
	t.Helper()
	return systemWith(t, "redis-pinned", `
    kind: redis
    from: {host: true}
    address: "`+addr+`"
    password: *redis-password
    connection: pinned
    timeout: 5s # an answer that is late on a busy machine is still an answer, to both
    keys: "simulacro:{run}:pinned:*"
    purge: false
`)
}

// systemWith is the reference system with one probe or canary, that is not the last of its kind, declared anew.
func systemWith(t *testing.T, name, declared string) string {
	t.Helper()
	b, err := os.ReadFile(refSystem)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	begin := strings.Index(text, "  "+name+":")
	next := regexp.MustCompile(`(?m)^  [a-z][a-z0-9-]*:`).FindAllStringIndex(text[begin:], 2)
	text = text[:begin] + "  " + name + ":" + declared + text[begin+next[1][0]:]
	state, err := filepath.Abs(filepath.Dir(refSystem))
	if err != nil {
		t.Fatal(err)
	}
	text = strings.ReplaceAll(text, "${file:.state/", "${file:"+state+"/.state/")
	path := filepath.Join(t.TempDir(), "system.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// survivors reads the keys that the members hold, by redis-cli, and removes them.
func survivors(t *testing.T, pattern string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, name := range []string{"redis-1", "redis-2", "redis-3"} {
		out, err := exec.Command("docker", "exec", "-e", "REDISCLI_AUTH="+secret(t, "REDIS_PASSWORD"), service(t, name), "redis-cli", "--scan", "--pattern", pattern).Output()
		if err != nil {
			t.Fatalf("redis-cli on %s: %v", name, err)
		}
		for key := range strings.Lines(string(out)) {
			found[strings.TrimSpace(key)] = true
		}
	}
	primary := redisPrimaries(t)[0]
	script := `redis-cli --scan --pattern '` + pattern + `' | xargs -r -n 500 redis-cli unlink >/dev/null`
	docker(t, "exec", "-e", "REDISCLI_AUTH="+secret(t, "REDIS_PASSWORD"), service(t, primary), "sh", "-c", script)
	return found
}
