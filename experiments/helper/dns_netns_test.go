package helper

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// answers is a name server at the peer: every A question gets 10.99.0.77.
func (l *lab) answers() {
	l.t.Helper()
	dir := "/etc/netns/" + l.target // ip netns exec shows these files as those in /etc
	if err := os.MkdirAll(dir, 0o755); err != nil {
		l.t.Skip("cannot give the namespace a resolv.conf: ", err)
	}
	l.t.Cleanup(func() { _ = os.RemoveAll(dir); _ = os.Remove("/etc/netns") })
	if err := os.WriteFile(dir+"/resolv.conf", []byte("search x\nnameserver 10.99.0.2\n"), 0o644); err != nil {
		l.t.Fatal(err)
	}
	var c net.PacketConn
	inside(l.t, l.peer, func() (err error) { c, err = net.ListenPacket("udp4", "10.99.0.2:53"); return err })
	l.t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			d := dns{DNS{Mode: Wrong, Address: "10.99.0.77"}}
			var p dnsmessage.Parser
			h, _ := p.Start(buf[:n])
			q, _ := p.Question()
			if b, err := d.answer(query{header: h, question: q}); err == nil {
				_, _ = c.WriteTo(b, from)
			}
		}
	}()
}

// lookup asks from inside the target.
func (l *lab) lookup(name string) ([]netip.Addr, time.Duration, error) {
	l.t.Helper()
	r := net.Resolver{PreferGo: true, Dial: func(asked context.Context, network, _ string) (c net.Conn, err error) {
		if asked.Err() != nil { // the resolver may still try when the test is over and its namespace gone
			return nil, asked.Err()
		}
		if !strings.HasPrefix(network, "udp") {
			return nil, errors.New("udp only")
		}
		inside(l.t, l.target, func() error { c, err = net.Dial("udp4", "10.99.0.2:53"); return nil })
		return c, err
	}}
	ctx, cancel := context.WithTimeout(l.t.Context(), 1500*time.Millisecond)
	defer cancel()
	began := time.Now()
	a, err := r.LookupNetIP(ctx, "ip4", name+".")
	return a, time.Since(began), err
}

func TestDNSInANetworkNamespace(t *testing.T) {
	if testing.Short() {
		t.Skip("makes network namespaces: not with -short")
	}
	l := newLab(t)
	l.answers()
	right := func(t *testing.T, name string) {
		t.Helper()
		a, took, err := l.lookup(name)
		if err != nil || len(a) != 1 || a[0].String() != "10.99.0.77" || took > 300*time.Millisecond {
			t.Errorf("%s: %v after %v, %v, want the right answer at once", name, a, took, err)
		}
	}
	right(t, "redis.local")
	for _, c := range []struct {
		fault DNS
		check func(t *testing.T, a []netip.Addr, took time.Duration, err *net.DNSError)
	}{
		{DNS{Mode: NXDomain}, func(t *testing.T, _ []netip.Addr, took time.Duration, err *net.DNSError) {
			if err == nil || !err.IsNotFound || took > time.Second {
				t.Errorf("after %v: %v, want that there is no such name", took, err)
			}
		}},
		{DNS{Mode: ServFail}, func(t *testing.T, _ []netip.Addr, took time.Duration, err *net.DNSError) {
			if err == nil || err.IsNotFound || !strings.Contains(err.Error(), "misbehaving") {
				t.Errorf("after %v: %v, want a server failure", took, err)
			}
		}},
		{DNS{Mode: Silence}, func(t *testing.T, _ []netip.Addr, took time.Duration, err *net.DNSError) {
			if err == nil || !err.IsTimeout || took < 1400*time.Millisecond {
				t.Errorf("after %v: %v, want a timeout", took, err)
			}
		}},
		{DNS{Mode: Wrong, Address: "10.99.0.66"}, func(t *testing.T, a []netip.Addr, took time.Duration, err *net.DNSError) {
			if err != nil || len(a) != 1 || a[0].String() != "10.99.0.66" {
				t.Errorf("%v after %v, %v, want the wrong address", a, took, err)
			}
		}},
		{DNS{Mode: Slow, Delay: ms(400)}, func(t *testing.T, a []netip.Addr, took time.Duration, err *net.DNSError) {
			if err != nil || len(a) != 1 || a[0].String() != "10.99.0.77" || took < 400*time.Millisecond {
				t.Errorf("%v after %v, %v, want the right answer, late", a, took, err)
			}
		}},
	} {
		t.Run(c.fault.Mode, func(t *testing.T) {
			c.fault.Names = []string{"*.local"}
			_, d := l.during(TrafficSpec{Effects: Effects{DNS: &c.fault}}, func() {
				a, took, err := l.lookup("Redis.local")
				var failed *net.DNSError
				if err != nil && !errors.As(err, &failed) {
					t.Fatal(err)
				}
				c.check(t, a, took, failed)
				right(t, "other.name")
			})
			if d.Affected() == 0 || d.Affected() >= d.Traffic.Seen {
				t.Errorf("%d of %d queries affected, want those that match", d.Affected(), d.Traffic.Seen)
			}
		})
	}
	right(t, "redis.local")
}
