package experiments

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// town maps addresses of a system that does not exist to listeners on this machine.
type town struct {
	t    *testing.T
	mu   sync.Mutex
	at   map[string]string
	tilt map[string]*atomic.Int32 // by address: 1 is in TILT

	tls      *tls.Config // of every server that is started from here on; nil: none
	password string      // of the sentinels
}

func newTown(t *testing.T) *town {
	return &town{t: t, at: map[string]string{}, tilt: map[string]*atomic.Int32{}}
}

func (w *town) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	real, ok := w.at[addr]
	w.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("dial %s: no such host", addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, real)
}

func (w *town) settle(addr, real string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at[addr] = real
}

// redis serves RESP at an address; answer returns a raw reply.
func (w *town) redis(addr string, answer func(cmd []string) string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	w.t.Cleanup(func() { cancel(); _ = l.Close(); wg.Wait() })
	w.settle(addr, l.Addr().String())
	if w.tls != nil {
		l = tls.NewListener(l, w.tls)
	}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			wg.Go(func() {
				defer stop()
				defer func() { _ = c.Close() }()
				serveRESP(c, answer)
			})
		}
	})
}

func serveRESP(c net.Conn, answer func([]string) string) {
	r := bufio.NewReader(c)
	number := func() (int, error) {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	for {
		n, err := number()
		if err != nil {
			return
		}
		var cmd []string
		for range n {
			size, err := number()
			if err != nil {
				return
			}
			b := make([]byte, size+2)
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			cmd = append(cmd, string(b[:size]))
		}
		if _, err := io.WriteString(c, answer(cmd)); err != nil {
			return
		}
	}
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

func array(parts ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(parts))
	for _, p := range parts {
		b.WriteString(bulk(p))
	}
	return b.String()
}

// sentinel serves a sentinel that names the primary that host returns.
func (w *town) sentinel(addr string, epoch int, host func() string, failover func() string) {
	tilt := &atomic.Int32{}
	w.tilt[addr] = tilt
	w.redis(addr, func(cmd []string) string {
		switch strings.ToLower(strings.Join(cmd[:min(2, len(cmd))], " ")) {
		case "sentinel master":
			return array("name", "gad", "ip", "old", "flags", "master", "role-reported-time", "15500", "config-epoch", strconv.Itoa(epoch), "num-slaves", "2", "quorum", "2")
		case "sentinel get-master-addr-by-name":
			return array(host(), "6379")
		case "auth " + w.password:
			return "+OK\r\n"
		case "sentinel ckquorum":
			return "+OK 3 usable Sentinels\r\n"
		case "info sentinel":
			return bulk("# Sentinel\r\nsentinel_masters:1\r\nsentinel_tilt:" + strconv.Itoa(int(tilt.Load())) + "\r\n")
		case "sentinel failover":
			return failover()
		}
		return "-ERR unknown command " + strings.Join(cmd, " ") + "\r\n"
	})
}

// data serves a password-protected data node.
func (w *town) data(addr, password string, info func() string) {
	w.redis(addr, func(cmd []string) string {
		switch strings.ToLower(cmd[0]) {
		case "auth":
			if cmd[len(cmd)-1] != password {
				return "-WRONGPASS invalid password\r\n"
			}
			return "+OK\r\n"
		case "info":
			return bulk(info())
		}
		return "-ERR unknown command\r\n"
	})
}

func primaryInfo(offset int, replicas ...string) string {
	s := fmt.Sprintf("# Replication\r\nrole:master\r\nconnected_slaves:%d\r\nmaster_repl_offset:%d\r\n", len(replicas), offset)
	for i, r := range replicas {
		s += fmt.Sprintf("slave%d:ip=%s,port=6379,state=online,offset=%d,lag=1\r\n", i, r, offset)
	}
	return s
}

func replicaInfo(of string, offset int, link string) string {
	return fmt.Sprintf("# Replication\r\nrole:slave\r\nmaster_host:%s\r\nmaster_port:6379\r\nmaster_link_status:%s\r\nmaster_last_io_seconds_ago:1\r\nslave_repl_offset:%d\r\nmaster_repl_offset:1\r\n", of, link, offset)
}

// patroni serves a member's REST API.
func (w *town) patroni(addr string, handle http.HandlerFunc) {
	s := httptest.NewServer(handle)
	w.t.Cleanup(s.Close)
	w.settle(addr, s.Listener.Addr().String())
}

// pgCluster is a Patroni cluster in memory.
type pgCluster struct {
	mu       sync.Mutex
	leader   string
	line     int
	offsets  map[string]int64
	history  string
	asked    []string // "path body" of every POST
	refuse   string   // a POST is refused with this
	stubborn bool     // a POST is accepted and nothing happens
	liveness map[string]int
	seen     map[string]int64 // dcs_last_seen; the default is the far future of a leader and the far past of a replica
}

func (c *pgCluster) serve(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		status, body := c.answer(name, r)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func (c *pgCluster) answer(name string, r *http.Request) (int, string) {
	leads := c.leader == name
	switch r.URL.Path {
	case "/primary":
		if leads {
			return 200, "{}"
		}
		return 503, "{}"
	case "/patroni":
		seen, known := c.seen[name]
		if leads {
			if !known {
				seen = 4000000000
			}
			return 200, fmt.Sprintf(`{"state":"running","role":"master","timeline":%d,"dcs_last_seen":%d,"xlog":{"location":%d}}`, c.line, seen, c.offsets[name])
		}
		if !known {
			seen = 1
		}
		return 503, fmt.Sprintf(`{"state":"running","role":"replica","timeline":%d,"dcs_last_seen":%d,"xlog":{"received_location":%d,"replayed_location":1,"paused":false}}`, c.line, seen, c.offsets[name])
	case "/liveness":
		if status, ok := c.liveness[name]; ok {
			return status, ""
		}
	case "/cluster":
		var members []string
		for _, n := range []string{"pg-1", "pg-2", "pg-3"} {
			role := "replica"
			if n == c.leader {
				role = "leader"
			}
			members = append(members, fmt.Sprintf(`{"name":%q,"role":%q,"state":"running","host":%q,"timeline":%d,"lag":"unknown"}`, n, role, n, c.line))
		}
		return 200, `{"members":[` + strings.Join(members, ",") + `]}`
	case "/history":
		return 200, c.history
	case "/switchover", "/failover":
		return c.move(r)
	}
	return 404, ""
}

func (c *pgCluster) move(r *http.Request) (int, string) {
	b, _ := io.ReadAll(r.Body)
	c.asked = append(c.asked, r.URL.Path+" "+string(b))
	if c.refuse != "" {
		return 412, c.refuse
	}
	var req map[string]string
	_ = json.Unmarshal(b, &req)
	if !c.stubborn {
		c.leader = req["candidate"]
		if c.leader == "" {
			c.leader = "pg-3"
		}
	}
	return 200, "Successfully switched over"
}

// pgMembers are three members of postgis; their REST APIs are at 10.0.0.11:8008 and so on.
func pgMembers() []drills.Member {
	s := scene()
	return s.Of("postgis")
}

func redisMembers() []drills.Member {
	s := scene()
	return s.Of("redis")
}
