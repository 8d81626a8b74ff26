package epoll

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"golang.org/x/sys/unix"
)

// TestTake: a connection that is taken stays open, is the taker's alone, and the loop neither reads, reopens nor closes it.
func TestTake(t *testing.T) {
	t.Parallel()
	conns := make(chan net.Conn, 10)
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = c.Close() })
		conns <- c
	})
	c := &client{}
	l, stop := start(t, 3, addr, c, nil)
	wait(t, "three connections", func() bool { return c.opened.Load() == 3 && len(conns) == 3 })
	var fd int
	var ok, again bool
	ask := func(f func()) {
		done := make(chan struct{})
		l.Do(func() { f(); close(done) })
		<-done
	}
	ask(func() { fd, ok = l.Take(1); _, again = l.Take(1) })
	if !ok || again || fd < 0 {
		t.Fatalf("taken: %d %t, and again %t", fd, ok, again)
	}
	defer unix.Close(fd) //nolint:errcheck // test
	for range 3 {
		if err := wsutil.WriteServerText(<-conns, []byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, "two of three messages", func() bool { return c.received.Load() == 2 })
	stop()
	if n, err := unix.IoctlGetInt(fd, unix.SIOCINQ); err != nil || n != 7 {
		t.Errorf("the taken socket has %d bytes unread, %v; want the 7 of one frame", n, err)
	}
	if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err != nil || info.State != 1 {
		t.Errorf("the taken socket is in state %+v, %v, after the loop has ended", info.State, err)
	}
	if len(c.messages[1]) != 0 || c.open[1] != 1 {
		t.Errorf("the loop went on with it: %q, opened %d times", c.messages[1], c.open[1])
	}
}

// TestErrandOfALoopThatHasEnded is not run: who waits for one must know that it may never come.
func TestErrandOfALoopThatHasEnded(t *testing.T) {
	t.Parallel()
	l, stop := start(t, 1, "127.0.0.1:1", &client{}, nil)
	stop()
	ran := make(chan struct{})
	l.Do(func() { close(ran) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	select {
	case <-ran:
		t.Error("it ran")
	case <-ctx.Done():
	}
}
