package helper

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// What the target's DNS queries get.
const (
	Silence  = "silence" // no answer: the resolver waits for its timeout
	ServFail = "servfail"
	NXDomain = "nxdomain"
	Refused  = "refused"
	Wrong    = "wrong" // an address that is not the name's
	Slow     = "slow"  // the right answer, late
)

// DNS spoils what the target asks its resolvers: no answer, an error, a wrong address, or the right answer late. Queries
// over TCP get silence where an answer over UDP would be made up.
type DNS struct {
	Mode    string          `json:"mode"`
	Names   []string        `json:"names,omitempty"`   // with * as in *.example.org; none: every name
	Address string          `json:"address,omitempty"` // wrong
	Delay   drills.Duration `json:"delay,omitempty"`   // slow
	Share   float64         `json:"share,omitempty"`   // of the queries that match; 0 is all
}

// wrongTTL is the lifetime of a made-up answer in seconds: short, so that the fault does not outlive itself in caches.
const wrongTTL = 1

func (d DNS) validate() error {
	switch d.Mode {
	case Silence, ServFail, NXDomain, Refused:
	case Wrong:
		if _, err := netip.ParseAddr(d.Address); err != nil {
			return fmt.Errorf("spec: dns: a wrong answer needs an address: %w", err)
		}
	case Slow:
		if d.Delay <= 0 {
			return fmt.Errorf("spec: dns: slow needs a delay")
		}
	default:
		return fmt.Errorf("spec: dns: mode %q is not silence, servfail, nxdomain, refused, wrong or slow", d.Mode)
	}
	for _, n := range d.Names {
		if _, err := path.Match(n, ""); err != nil || n == "" {
			return fmt.Errorf("spec: dns: %q is not a name", n)
		}
	}
	return nil
}

type dns struct{ DNS }

func (d *dns) decide(p packet, _ bool, _ time.Time, rng *rand.Rand) verdict {
	query, ok := queryIn(p)
	if !ok || !d.means(query.name) || d.Share > 0 && rng.Float64() >= d.Share {
		return verdict{}
	}
	switch {
	case d.Mode == Slow:
		return verdict{hold: d.Delay.D(), overtak: true, touched: true}
	case d.Mode == Silence, p.proto == unix.IPPROTO_TCP:
		return verdict{drop: true, touched: true}
	}
	message, err := d.answer(query)
	if err != nil {
		return verdict{drop: true, touched: true}
	}
	return verdict{payload: turned(p, message), touched: true}
}

func (d *dns) means(name string) bool {
	return len(d.Names) == 0 || slices.ContainsFunc(d.Names, func(n string) bool {
		ok, _ := path.Match(strings.ToLower(strings.TrimSuffix(n, ".")), name)
		return ok
	})
}

type query struct {
	header   dnsmessage.Header
	question dnsmessage.Question
	name     string // lower case, no dot at the end
}

// queryIn reads the question of a DNS query over UDP, or over TCP when it is whole in one segment.
func queryIn(p packet) (query, bool) {
	at := p.payload()
	if at == 0 || p.dport != 53 {
		return query{}, false
	}
	body := p.data[at:]
	if p.proto == unix.IPPROTO_TCP {
		if len(body) < 2 {
			return query{}, false
		}
		body = body[2:]
	}
	var parser dnsmessage.Parser
	h, err := parser.Start(body)
	if err != nil || h.Response {
		return query{}, false
	}
	q, err := parser.Question()
	if err != nil {
		return query{}, false
	}
	return query{header: h, question: q, name: strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))}, true
}

func (d *dns) answer(q query) ([]byte, error) {
	codes := map[string]dnsmessage.RCode{
		ServFail: dnsmessage.RCodeServerFailure, NXDomain: dnsmessage.RCodeNameError, Refused: dnsmessage.RCodeRefused,
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{
		ID: q.header.ID, Response: true, OpCode: q.header.OpCode, RecursionDesired: q.header.RecursionDesired,
		RecursionAvailable: true, RCode: codes[d.Mode],
	})
	b.EnableCompression()
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(q.question); err != nil {
		return nil, err
	}
	if d.Mode == Wrong {
		if err := d.address(&b, q.question); err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

// address answers a question of the address's own family; other questions have no answer.
func (d *dns) address(b *dnsmessage.Builder, q dnsmessage.Question) error {
	a, err := netip.ParseAddr(d.Address)
	if err != nil {
		return err
	}
	if err := b.StartAnswers(); err != nil {
		return err
	}
	h := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: wrongTTL}
	switch {
	case a.Is4() && q.Type == dnsmessage.TypeA:
		return b.AResource(h, dnsmessage.AResource{A: a.As4()})
	case a.Is6() && q.Type == dnsmessage.TypeAAAA:
		return b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: a.As16()})
	}
	return nil
}

// turned is the packet sent back to where it came from, with another message: source and destination change places, so
// that the kernel, which routes a changed packet anew, delivers it to the one who asked.
func turned(p packet, message []byte) []byte {
	data := append(append([]byte(nil), p.data[:p.transport+8]...), message...)
	src, dst := p.src.AsSlice(), p.dst.AsSlice()
	at := 12
	if p.src.Is6() {
		at = 8
		binary.BigEndian.PutUint16(data[4:], uint16(len(data)-40))
	} else {
		binary.BigEndian.PutUint16(data[2:], uint16(len(data)))
	}
	copy(data[at:], dst)
	copy(data[at+len(dst):], src)
	binary.BigEndian.PutUint16(data[p.transport:], p.dport)
	binary.BigEndian.PutUint16(data[p.transport+2:], p.sport)
	binary.BigEndian.PutUint16(data[p.transport+4:], uint16(8+len(message)))
	back := packet{flow: flow{src: p.dst, dst: p.src, proto: p.proto}, data: data, transport: p.transport}
	back.checksums()
	return data
}

// resolvers are the name servers of the target, which a container that shares its namespace sees in resolv.conf.
func resolvers(resolvConf string) []netip.Addr {
	var out []netip.Addr
	for line := range strings.Lines(resolvConf) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			out = append(out, a.WithZone("").Unmap())
		}
	}
	return out
}
