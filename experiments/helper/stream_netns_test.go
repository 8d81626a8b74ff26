package helper

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// serves sends each connection to the peer's port 7778 as many bytes as it asked for with its first three.
func (l *lab) serves() {
	l.t.Helper()
	var listener net.Listener
	inside(l.t, l.peer, func() (err error) { listener, err = net.Listen("tcp4", "10.99.0.2:7778"); return err })
	l.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 3)
				for {
					if _, err := io.ReadFull(c, b); err != nil {
						return
					}
					if _, err := c.Write(make([]byte, int(b[0])<<16|int(b[1])<<8|int(b[2]))); err != nil {
						return
					}
				}
			}()
		}
	}()
}

// takes reads all that comes to the peer's port 7779 and answers with one byte when it has ended.
func (l *lab) takes() {
	l.t.Helper()
	var listener net.Listener
	inside(l.t, l.peer, func() (err error) { listener, err = net.Listen("tcp4", "10.99.0.2:7779"); return err })
	l.t.Cleanup(func() { listener.Close() })
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(io.Discard, c)
		_, _ = c.Write([]byte{1})
	}()
}

// pour sends n bytes to it as one stream.
func (l *lab) pour(n int) (err error) {
	l.t.Helper()
	var c net.Conn
	inside(l.t, l.target, func() error { c, err = net.DialTimeout("tcp4", "10.99.0.2:7779", 5*time.Second); return nil })
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write(make([]byte, n)); err != nil {
		return err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 1))
	return err
}

func (l *lab) connect() (c net.Conn, err error) {
	l.t.Helper()
	inside(l.t, l.target, func() error { c, err = net.DialTimeout("tcp4", "10.99.0.2:7778", 5*time.Second); return nil })
	return c, err
}

// fetch asks for n bytes and says how long they took.
func fetch(c net.Conn, n int) (time.Duration, error) {
	began := time.Now()
	_ = c.SetDeadline(began.Add(20 * time.Second))
	if _, err := c.Write([]byte{byte(n >> 16), byte(n >> 8), byte(n)}); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(c, make([]byte, n))
	return time.Since(began), err
}

func TestStreamsInANetworkNamespace(t *testing.T) {
	if testing.Short() {
		t.Skip("makes network namespaces: not with -short")
	}
	l := newLab(t)
	l.serves()
	open := func(t *testing.T) net.Conn {
		t.Helper()
		c, err := l.connect()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fetch(c, 1); err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("bandwidth", func(t *testing.T) {
		c := open(t)
		defer c.Close()
		l.during(TrafficSpec{Path: Path{Direction: In}, Effects: Effects{Bandwidth: &Bandwidth{Rate: 1e6}}}, func() {
			took, err := fetch(c, 250_000)
			if err != nil {
				t.Fatal(err)
			}
			within(t, "Mbit/s", 2/took.Seconds(), 0.3, 1.05) // what TCP loses in a full buffer is its own
		})
	})
	for _, refuse := range []bool{false, true} {
		t.Run(map[bool]string{false: "reset", true: "reset and refuse"}[refuse], func(t *testing.T) {
			c := open(t)
			defer c.Close()
			_, d := l.during(TrafficSpec{Path: Path{Direction: Both}, Effects: Effects{Reset: &Reset{Share: 1, New: refuse}}}, func() {
				if _, err := fetch(c, 1); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("on an open connection: %v", err)
				}
				fresh, err := l.connect()
				if refuse {
					if !errors.Is(err, syscall.ECONNREFUSED) {
						t.Errorf("a new connection: %v", err)
					}
					return
				}
				if err == nil {
					_, err = fetch(fresh, 1)
					fresh.Close()
				}
				if err == nil {
					t.Error("a new connection works")
				}
			})
			if d.Affected() == 0 {
				t.Error("nothing was counted")
			}
			open(t).Close()
		})
	}
	t.Run("a killed queue lets traffic pass and leaves nothing", func(t *testing.T) {
		s := TrafficSpec{Kind: KindTraffic, Op: "killed", Lease: drills.Duration(time.Minute), Path: Path{Direction: Both, Peers: []string{"10.99.0.2"}}, Effects: Effects{Latency: &Latency{Delay: ms(300)}}}
		p := l.start(s)
		var a Applied
		p.next("ready", &a)
		c := open(t)
		defer c.Close()
		if took, err := fetch(c, 1); err != nil || took < 600*time.Millisecond {
			t.Fatalf("under the fault %v, %v", took, err)
		}
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		l.until("table gone", func() bool { return l.run("ip", "netns", "exec", l.target, "nft", "list", "tables") == "" })
		if took, err := fetch(c, 1); err != nil || took > 300*time.Millisecond {
			t.Errorf("afterwards %v, %v", took, err)
		}
		if q := l.run("ip", "netns", "exec", l.target, "cat", "/proc/net/netfilter/nfnetlink_queue"); q != "" {
			t.Errorf("a queue is left: %s", q)
		}
	})
}
