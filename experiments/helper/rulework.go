package helper

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// Duplication sends Share of the packets twice.
type Duplication struct {
	Share float64 `json:"share"`
}

// Reset answers TCP packets with a reset to their sender and drops them: the target's own, those of the peers, or both, by
// the path's direction. New leaves alone who only wants to connect, so that a connection opens and is then reset.
type Reset struct {
	Share float64 `json:"share"`
	New   bool    `json:"new,omitempty"` // also refuse new connections
}

// countOnly counts and lets pass.
func countOnly(string, nftables.TableFamily) []expr.Any { return []expr.Any{&expr.Counter{}} }

// queueNative is the kernel's own statement (nft_queue).
func queueNative(n uint16) tail {
	return func(string, nftables.TableFamily) []expr.Any {
		return []expr.Any{&expr.Counter{}, &expr.Queue{Num: n, Flag: expr.QueueFlagBypass}}
	}
}

// queueCompat is the iptables target NFQUEUE, revision 3, for kernels without nft_queue.
func queueCompat(n uint16) tail {
	info := make(xt.Unknown, 8) // struct xt_NFQ_info_v3: queuenum, queues_total, flags, each u16, padded
	binary.NativeEndian.PutUint16(info, n)
	binary.NativeEndian.PutUint16(info[2:], 1)
	binary.NativeEndian.PutUint16(info[4:], 1) // NFQ_FLAG_BYPASS
	return func(string, nftables.TableFamily) []expr.Any {
		return []expr.Any{&expr.Counter{}, &expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}}
	}
}

// drawn matches a share of the packets at random, in millionths.
func drawn(share float64) []expr.Any {
	if share >= 1 {
		return nil
	}
	return []expr.Any{
		&expr.Numgen{Register: 1, Modulus: million, Type: unix.NFT_NG_RANDOM},
		// The number is in the host's byte order; comparisons are byte by byte.
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(uint32(share * million))},
	}
}

const million = 1_000_000

func (d Duplication) validate(p Path) error {
	err := shareIn("duplication", d.Share)
	if p.everyone() {
		err = errors.Join(err, errors.New("spec: duplication needs peers: the copy is sent to the peer's own address"))
	}
	if p.Direction == In || p.Direction == Both {
		err = errors.Join(err, errors.New("spec: duplication works on what the target sends: direction out; put it on the peer for the other way"))
	}
	return err
}

// tail copies to the packet's own destination. The kernel does not copy its copies, which pass here too: they are not
// tracked, and so they are not drawn and counted again.
func (d Duplication) tail(_ string, family nftables.TableFamily) []expr.Any {
	offset, size := uint32(16), uint32(4)
	if family == nftables.TableFamilyIPv6 {
		offset, size = 24, 16
	}
	original := []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitUNTRACKED), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: make([]byte, 4)},
	}
	return append(append(original, drawn(d.Share)...),
		&expr.Counter{},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
		&expr.Dup{RegAddr: 1},
	)
}

func (r Reset) validate(p Path) error {
	err := shareIn("reset", r.Share)
	if p.Protocol != "" && p.Protocol != TCP {
		err = errors.Join(err, fmt.Errorf("spec: only tcp connections can be reset, not %s", p.Protocol))
	}
	return err
}

// The flags of a TCP header's byte 13.
const (
	tcpSYN = 0x02
	tcpRST = 0x04
)

// tail never answers a reset, ours or anybody's, and leaves it alone.
func (r Reset) tail(_ string, _ nftables.TableFamily) []expr.Any {
	not := byte(tcpRST)
	if !r.New {
		not |= tcpSYN
	}
	match := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{not}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0}},
	}
	match = append(match, drawn(r.Share)...)
	return append(match, &expr.Counter{}, &expr.Reject{Type: unix.NFT_REJECT_TCP_RST})
}
