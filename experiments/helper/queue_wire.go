package helper

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Messages and attributes of nfnetlink_queue (include/uapi/linux/netfilter/nfnetlink_queue.h).
const (
	nfqSubsystem = unix.NFNL_SUBSYS_QUEUE << 8

	nfqPacket  = nfqSubsystem
	nfqVerdict = nfqSubsystem | 1
	nfqConfig  = nfqSubsystem | 2

	nfqaPacketHeader  = 1 // id u32, hardware protocol u16, hook u8
	nfqaVerdictHeader = 2 // verdict u32, id u32
	nfqaPayload       = 10

	nfqaConfigCommand = 1 // command u8, pad u8, family u16
	nfqaConfigParams  = 2 // copy range u32, copy mode u8
	nfqaConfigMaxLen  = 3
	nfqaConfigMask    = 4
	nfqaConfigFlags   = 5

	nfqBind       = 1
	nfqCopyPacket = 2
	nfqFailOpen   = 1 // a full queue lets packets pass
	nfqGSO        = 4 // segments not yet cut count as one packet

	hookIn = 1 // NF_INET_LOCAL_IN
)

// nfqMessage is one netlink message to queue number n.
func nfqMessage(kind, flags uint16, n uint16, attrs ...[]byte) []byte {
	b := make([]byte, 20, 128)
	for _, a := range attrs {
		b = append(b, a...)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags|unix.NLM_F_REQUEST)
	b[16], b[17] = unix.AF_UNSPEC, unix.NFNETLINK_V0
	binary.BigEndian.PutUint16(b[18:], n)
	return b
}

func nfqAttr(kind uint16, data []byte) []byte {
	b := make([]byte, aligned(4+len(data)))
	binary.NativeEndian.PutUint16(b, uint16(4+len(data)))
	binary.NativeEndian.PutUint16(b[2:], kind)
	copy(b[4:], data)
	return b
}

func aligned(n int) int { return (n + 3) &^ 3 }

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// verdictOn accepts or drops one packet; a payload replaces what it carries from the network header on.
func verdictOn(n uint16, v verdict) []byte {
	what := uint32(1) // NF_ACCEPT
	if v.drop {
		what = 0 // NF_DROP
	}
	attrs := [][]byte{nfqAttr(nfqaVerdictHeader, append(be32(what), be32(v.id)...))}
	if v.payload != nil && !v.drop {
		attrs = append(attrs, nfqAttr(nfqaPayload, v.payload))
	}
	return nfqMessage(nfqVerdict, 0, n, attrs...)
}

// queued is one packet that waits for a verdict. data ends where the queue's copy range ends.
type queued struct {
	id   uint32
	hook uint8
	data []byte
}

// readQueued calls each for every packet of a datagram. The data is valid during the call.
func readQueued(datagram []byte, each func(queued)) error {
	for b := datagram; len(b) >= 16; {
		n := int(binary.NativeEndian.Uint32(b))
		if n < 16 || n > len(b) {
			return fmt.Errorf("a netlink message says it is %d bytes long, %d are left", n, len(b))
		}
		if binary.NativeEndian.Uint16(b[4:]) == nfqPacket && n >= 20 {
			if q, ok := queuedFrom(b[20:n]); ok {
				each(q)
			}
		}
		b = b[min(aligned(n), len(b)):]
	}
	return nil
}

func queuedFrom(attrs []byte) (q queued, ok bool) {
	for len(attrs) >= 4 {
		n := int(binary.NativeEndian.Uint16(attrs))
		if n < 4 || n > len(attrs) {
			return q, false
		}
		data := attrs[4:n]
		switch binary.NativeEndian.Uint16(attrs[2:]) & 0x3fff {
		case nfqaPacketHeader:
			if len(data) >= 7 {
				q.id, q.hook, ok = binary.BigEndian.Uint32(data), data[6], true
			}
		case nfqaPayload:
			q.data = data
		}
		attrs = attrs[min(aligned(n), len(attrs)):]
	}
	return q, ok
}
