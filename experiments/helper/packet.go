package helper

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// flow is what keeps its order: one direction of one conversation.
type flow struct {
	src, dst     netip.Addr
	proto        byte
	sport, dport uint16
}

// packet is a parsed IP packet; data may end early (copy range). Offsets are into data.
type packet struct {
	flow
	data      []byte
	length    int // of the whole packet, bytes, as its header says
	transport int // where the transport header begins; 0: none that we know, or a later fragment
}

// parse reads the headers of an IPv4 or IPv6 packet. Extension headers of IPv6 count as an unknown transport.
func parse(data []byte) (packet, bool) {
	p := packet{data: data}
	switch {
	case len(data) >= 20 && data[0]>>4 == 4:
		p.src, _ = netip.AddrFromSlice(data[12:16])
		p.dst, _ = netip.AddrFromSlice(data[16:20])
		p.proto, p.length = data[9], int(binary.BigEndian.Uint16(data[2:]))
		if binary.BigEndian.Uint16(data[6:])&0x1fff == 0 {
			p.transport = int(data[0]&0xf) * 4
		}
		if int(data[0]&0xf)*4 < 20 || int(data[0]&0xf)*4 > len(data) {
			return p, false
		}
	case len(data) >= 40 && data[0]>>4 == 6:
		p.src, _ = netip.AddrFromSlice(data[8:24])
		p.dst, _ = netip.AddrFromSlice(data[24:40])
		p.proto, p.length, p.transport = data[6], 40+int(binary.BigEndian.Uint16(data[4:])), 40
	default:
		return p, false
	}
	if p.length <= 0 || p.length < len(data) { // a segment not yet cut may be longer than its header can say
		p.length = len(data)
	}
	if p.transport > 0 && len(data) >= p.transport+4 && (p.proto == unix.IPPROTO_TCP || p.proto == unix.IPPROTO_UDP) {
		p.sport, p.dport = binary.BigEndian.Uint16(data[p.transport:]), binary.BigEndian.Uint16(data[p.transport+2:])
	}
	return p, true
}

// payload is where the application's bytes begin; 0 when there are none, or in a protocol that we do not know.
func (p packet) payload() int {
	if p.transport == 0 {
		return 0
	}
	at := 0
	switch p.proto {
	case unix.IPPROTO_UDP, unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		at = p.transport + 8
	case unix.IPPROTO_TCP:
		if len(p.data) > p.transport+12 {
			at = p.transport + int(p.data[p.transport+12]>>4)*4
		}
	}
	if at == 0 || at >= len(p.data) {
		return 0
	}
	return at
}

// checksums makes the transport and IPv4 header checksums right again after a change (RFC 1071, RFC 8200 section 8.1).
func (p packet) checksums() {
	if p.data[0]>>4 == 4 {
		header := p.data[:int(p.data[0]&0xf)*4]
		binary.BigEndian.PutUint16(header[10:], 0)
		binary.BigEndian.PutUint16(header[10:], fold(sum(header)))
	}
	offsets := map[byte]int{unix.IPPROTO_TCP: 16, unix.IPPROTO_UDP: 6, unix.IPPROTO_ICMP: 2, unix.IPPROTO_ICMPV6: 2}
	at, known := offsets[p.proto]
	at += p.transport
	if !known || p.transport == 0 || len(p.data) < at+2 {
		return
	}
	binary.BigEndian.PutUint16(p.data[at:], 0)
	total := sum(p.data[p.transport:])
	if p.proto != unix.IPPROTO_ICMP {
		total += p.pseudo()
	}
	c := fold(total)
	if c == 0 && p.proto == unix.IPPROTO_UDP {
		c = 0xffff // RFC 768: zero means none
	}
	binary.BigEndian.PutUint16(p.data[at:], c)
}

// pseudo is the sum over the pseudo header.
func (p packet) pseudo() uint32 {
	return sum(p.src.AsSlice()) + sum(p.dst.AsSlice()) + uint32(p.proto) + uint32(len(p.data)-p.transport)
}

func sum(b []byte) uint32 {
	var s uint32
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}
