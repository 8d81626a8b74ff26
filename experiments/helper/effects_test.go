package helper

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func lots() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// udp is a datagram from 10.0.0.1:1000 with a right checksum.
func udp(dport uint16, body []byte) packet {
	data := make([]byte, 28, 28+len(body))
	data[0], data[8], data[9] = 0x45, 64, 17
	copy(data[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	data = append(data, body...)
	binary.BigEndian.PutUint16(data[2:], uint16(len(data)))
	binary.BigEndian.PutUint16(data[20:], 1000)
	binary.BigEndian.PutUint16(data[22:], dport)
	binary.BigEndian.PutUint16(data[24:], uint16(8+len(body)))
	p, _ := parse(data)
	p.checksums()
	return p
}

// valid says whether all checksums are right: the sum over everything is then all ones.
func valid(p packet) bool {
	return fold(sum(p.data[:20])) == 0 && fold(sum(p.data[p.transport:])+p.pseudo()) == 0
}

func TestJitterHasItsDistribution(t *testing.T) {
	for _, c := range []struct {
		distribution       string
		correlation        float64
		mean, sd, neighbor float64
	}{
		{Uniform, 0, 0, 1 / math.Sqrt(3), 0},
		{Normal, 0, 0, 1, 0},
		{Pareto, 0, 0, 1, 0},
		{Uniform, 0.5, 0, math.Sqrt(1. / 3 / 3), 0.5}, // an AR(1) process: variance (1−c)²/(1−c²) of the draw's
	} {
		l := latency{Latency: Latency{Delay: ms(1000), Jitter: ms(100), Distribution: c.distribution, Correlation: c.correlation}, last: 0.5}
		r := lots()
		const n = 200000
		var s, s2, s12, before float64
		for range n {
			x := (l.decide(packet{}, false, time.Time{}, r).hold.Seconds() - 1) * 10
			s, s2, s12, before = s+x, s2+x*x, s12+x*before, x
		}
		mean := s / n
		variance := s2/n - mean*mean
		within(t, c.distribution+" mean", mean, c.mean-0.02, c.mean+0.02)
		if c.distribution == Pareto { // its variance converges slowly, and delays are never below zero
			within(t, c.distribution+" sd", math.Sqrt(variance), 0.8, 1.1)
			continue
		}
		within(t, c.distribution+" sd", math.Sqrt(variance), c.sd-0.02, c.sd+0.02)
		within(t, c.distribution+" correlation", (s12/n-mean*mean)/variance, c.neighbor-0.02, c.neighbor+0.02)
	}
}

func TestLossInBurstsHasItsShareAndLength(t *testing.T) {
	for _, burst := range []float64{0, 1, 3, 20} {
		l := loss{Loss: Loss{Share: 0.1, Burst: burst}}
		r := lots()
		const n = 500000
		lost, runs, before := 0, 0, false
		for range n {
			hit := l.decide(packet{}, false, time.Time{}, r).drop
			if hit {
				lost++
				if !before {
					runs++
				}
			}
			before = hit
		}
		within(t, "share", float64(lost)/n, 0.095, 0.105)
		want := max(burst, 1/0.9) // single lots still come in a row by chance: 1/(1−share)
		if burst == 1 {
			want = 1 / 0.9
		}
		within(t, "burst", float64(lost)/float64(runs), want*0.95, want*1.05)
	}
}

func TestCorruptionFlipsOneBitAndRepairsOnRequest(t *testing.T) {
	before := udp(7, []byte("some bytes of an application"))
	if !valid(before) {
		t.Fatal("the test's own packet is wrong")
	}
	for _, repair := range []bool{false, true} {
		c := corruption{Corruption{Share: 1, Repair: repair}}
		for range 200 {
			v := c.decide(before, false, time.Time{}, lots())
			after, _ := parse(v.payload)
			if valid(after) != repair || !v.touched {
				t.Fatalf("repair %v: checksum valid %v", repair, valid(after))
			}
			from, flipped := before.transport, 0
			if repair {
				from = before.payload()
			}
			for i := range before.data {
				if i < from && !(repair && i >= before.transport+6) && before.data[i] != after.data[i] {
					t.Fatalf("byte %d changed", i)
				}
				if i >= from {
					for x := before.data[i] ^ after.data[i]; x > 0; x &= x - 1 {
						flipped++
					}
				}
			}
			if flipped != 1 {
				t.Fatalf("%d bits flipped", flipped)
			}
		}
	}
}

func TestBandwidthIsABucketPerDirection(t *testing.T) {
	b := bandwidth{Bandwidth: Bandwidth{Rate: 8000}, free: map[bool]time.Time{}} // 1000 bytes a second
	now := time.Unix(0, 0)
	p := packet{length: 100}
	var holds []time.Duration
	drops := 0
	for range 10 {
		v := b.decide(p, false, now, nil)
		if v.drop {
			drops++
			continue
		}
		holds = append(holds, v.hold)
	}
	if len(holds) != 5 || drops != 5 || holds[0] != 100*time.Millisecond || holds[4] != 500*time.Millisecond {
		t.Errorf("held %v, dropped %d: want 100 ms each until 400 ms wait", holds, drops)
	}
	if v := b.decide(p, true, now, nil); v.hold != 100*time.Millisecond {
		t.Errorf("the other direction waited %v", v.hold)
	}
	if v := b.decide(p, false, now.Add(time.Hour), nil); v.hold != 100*time.Millisecond || v.touched {
		t.Errorf("after a pause %+v", v)
	}
}

func TestOrderIsKeptWithinAFlow(t *testing.T) {
	s := &shaper{flows: map[flow]time.Time{}}
	now := time.Unix(100, 0)
	a, b := flow{sport: 1}, flow{sport: 2}
	if at := s.inOrder(a, now.Add(30), now); at != now.Add(30) {
		t.Error(at)
	}
	if at := s.inOrder(a, now.Add(10), now); at != now.Add(30) {
		t.Errorf("a packet would overtake the one in front: %v", at)
	}
	if at := s.inOrder(b, now.Add(10), now); at != now.Add(10) {
		t.Errorf("another flow was held back: %v", at)
	}
	for i := range forgetFlows + 10 {
		s.inOrder(flow{sport: uint16(i), proto: byte(i >> 16), dport: 9}, now.Add(time.Duration(i)), now.Add(time.Duration(i)+1))
	}
	if len(s.flows) > forgetFlows {
		t.Errorf("%d flows are remembered", len(s.flows))
	}
}

func TestAMadeUpAnswerGoesBackToTheOneWhoAsked(t *testing.T) {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 77, RecursionDesired: true})
	_ = b.StartQuestions()
	_ = b.Question(dnsmessage.Question{Name: dnsmessage.MustNewName("Api.Telegram.org."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET})
	ask, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	p := udp(53, ask)
	d := dns{DNS{Mode: Wrong, Names: []string{"*.telegram.org"}, Address: "192.0.2.9"}}
	v := d.decide(p, false, time.Time{}, lots())
	back, ok := parse(v.payload)
	if !ok || !valid(back) || back.src != p.dst || back.dst != p.src || back.sport != 53 || back.dport != 1000 || back.length != len(v.payload) {
		t.Fatalf("answer %+v", back)
	}
	var m dnsmessage.Message
	if err := m.Unpack(v.payload[back.payload():]); err != nil {
		t.Fatal(err)
	}
	a, _ := m.Answers[0].Body.(*dnsmessage.AResource)
	if m.ID != 77 || !m.Response || len(m.Answers) != 1 || netip.AddrFrom4(a.A).String() != "192.0.2.9" || m.Answers[0].Header.TTL != wrongTTL {
		t.Errorf("message %+v", m)
	}
	for _, other := range []DNS{{Mode: Wrong, Names: []string{"telegram.org"}, Address: "192.0.2.9"}, {Mode: NXDomain, Names: []string{"x"}}} {
		if v := (&dns{other}).decide(p, false, time.Time{}, lots()); v.touched || v.payload != nil {
			t.Errorf("%+v touched another name: %+v", other, v)
		}
	}
	if v := d.decide(udp(54, ask), false, time.Time{}, lots()); v.touched {
		t.Error("touched what is not a query")
	}
}

func TestVerdictsAndPacketsOnTheWire(t *testing.T) {
	m := nfqMessage(nfqPacket, 0, 9,
		nfqAttr(nfqaPacketHeader, []byte{0, 0, 1, 2, 8, 0, hookIn}), nfqAttr(nfqaPayload, []byte("abcde")))
	var got []queued
	if err := readQueued(append(append([]byte(nil), m...), m...), func(q queued) { got = append(got, q) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[1].id != 258 || got[1].hook != hookIn || string(got[1].data) != "abcde" {
		t.Errorf("read %+v", got)
	}
	if err := readQueued(m[:len(m)-8], func(queued) {}); err == nil {
		t.Error("a message that is cut short gave no error")
	}
	v := verdictOn(9, verdict{id: 258, payload: []byte("xyz")})
	if len(v) != 20+12+8 || binary.NativeEndian.Uint32(v) != uint32(len(v)) || binary.BigEndian.Uint16(v[18:]) != 9 ||
		binary.BigEndian.Uint32(v[24:]) != 1 || binary.BigEndian.Uint32(v[28:]) != 258 || string(v[36:39]) != "xyz" {
		t.Errorf("verdict % x", v)
	}
	if v := verdictOn(9, verdict{id: 1, drop: true, payload: []byte("xyz")}); len(v) != 32 || binary.BigEndian.Uint32(v[24:]) != 0 {
		t.Errorf("drop % x", v)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(udp(53, []byte{1, 2, 3}).data)
	f.Add([]byte{0x60})
	f.Fuzz(func(_ *testing.T, b []byte) {
		if p, ok := parse(b); ok {
			p.payload()
			(&dns{DNS{Mode: ServFail}}).decide(p, false, time.Time{}, lots())
			(&corruption{Corruption{Share: 1, Repair: true}}).decide(p, false, time.Time{}, lots())
		}
	})
}
