package helper

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inside runs f with this thread in a network namespace; sockets that it opens stay there.
func inside(t *testing.T, ns string, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		file, err := os.Open("/var/run/netns/" + ns)
		if err == nil {
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
			file.Close()
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("in %s: %v", ns, err)
	}
}

// echoes answers every datagram that reaches the peer, on port 7777.
func (l *lab) echoes() {
	l.t.Helper()
	var c net.PacketConn
	inside(l.t, l.peer, func() (err error) { c, err = net.ListenPacket("udp4", "10.99.0.2:7777"); return err })
	l.t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(buf[:n], from)
		}
	}()
}

// exchange is what became of numbered datagrams that the target sent to the peer's echo.
type exchange struct {
	sent  int
	rtts  []time.Duration
	got   map[uint32]int
	order []uint32 // as they came
	bad   int      // with another content
	in    int
}

// settle is how long the last answers may take.
const settle = 600 * time.Millisecond

const filler = 100 // bytes behind the number

func (l *lab) exchange(n int, every time.Duration) exchange {
	l.t.Helper()
	var c net.Conn
	inside(l.t, l.target, func() (err error) { c, err = net.Dial("udp4", "10.99.0.2:7777"); return err })
	defer c.Close()
	x := exchange{sent: n, got: map[uint32]int{}}
	sent := make([]time.Time, n)
	var mu sync.Mutex
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			m, err := c.Read(buf)
			if err != nil {
				return
			}
			mu.Lock()
			x.take(buf[:m], sent)
			mu.Unlock()
		}
	}()
	msg := make([]byte, 4+filler)
	for i := range n {
		binary.BigEndian.PutUint32(msg, uint32(i))
		mu.Lock()
		sent[i] = time.Now()
		mu.Unlock()
		if _, err := c.Write(msg); err != nil {
			l.t.Log(err) // an ICMP error for one before: not of interest
		}
		if i%20 == 19 { // many short sleeps would be as many long ones on a busy machine
			time.Sleep(20 * every)
		}
	}
	_ = c.SetReadDeadline(time.Now().Add(settle))
	<-done
	return x
}

func (x *exchange) take(b []byte, sent []time.Time) {
	x.in++
	if len(b) != 4+filler || slices.ContainsFunc(b[4:], func(c byte) bool { return c != 0 }) || int(binary.BigEndian.Uint32(b)) >= len(sent) {
		x.bad++
		return
	}
	i := binary.BigEndian.Uint32(b)
	x.got[i]++
	x.order = append(x.order, i)
	x.rtts = append(x.rtts, time.Since(sent[i]))
}

func (x exchange) lost() float64 { return 1 - float64(len(x.got)+x.bad)/float64(x.sent) }

func (x exchange) median() time.Duration {
	if len(x.rtts) == 0 {
		return 0
	}
	r := slices.Sorted(slices.Values(x.rtts))
	return r[len(r)/2]
}

func (x exchange) doubled() float64 {
	n := 0
	for _, c := range x.got {
		if c > 1 {
			n++
		}
	}
	return float64(n) / float64(x.sent)
}

// overtaken counts datagrams that came after one that was sent later.
func (x exchange) overtaken() int {
	n, newest := 0, uint32(0)
	for _, i := range x.order {
		if i < newest {
			n++
		}
		newest = max(newest, i)
	}
	return n
}

// runs counts the holes of the exchange: groups of datagrams lost one after the other.
func (x exchange) runs() (holes int, mean float64) {
	lost := 0
	for i := range x.sent {
		if x.got[uint32(i)] > 0 {
			continue
		}
		lost++
		if i == 0 || x.got[uint32(i-1)] > 0 {
			holes++
		}
	}
	if holes == 0 {
		return 0, 0
	}
	return holes, float64(lost) / float64(holes)
}

func (x exchange) String() string {
	holes, mean := x.runs()
	return fmt.Sprintf("%d sent, %.1f%% lost in %d holes of %.1f, %.1f%% twice, %d overtaken, %d bad, median %v", x.sent, 100*x.lost(), holes, mean, 100*x.doubled(), x.overtaken(), x.bad, x.median())
}
