package helper

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A handle is 16 bits of a qdisc and 16 bits of a class of it, as tc shows them: 51ac:4.
type handle uint32

func (h handle) String() string { return fmt.Sprintf("%x:%x", uint32(h>>16), uint32(h&0xffff)) }

// atRoot is the parent of what stands directly at an interface.
const atRoot handle = 0xffffffff

// qdisc is one queueing discipline, as the kernel describes it, with what passed it so far.
type qdisc struct {
	index          int32 // of the interface
	handle, parent handle
	kind           string
	options        []byte
	passed         uint64 // packets that left it; a buffer to be cut later counts as what it will be cut into
	bytes          uint64
	waiting        uint64 // packets
	dropped        uint64
}

// The kernel's own constants of these messages that x/sys does not have.
const (
	tcaStatsBasic = 1
	tcaStatsQueue = 3
)

// trafficControl is a route netlink socket of the namespace's.
type trafficControl struct{ conn *netlink.Conn }

func openTrafficControl() (trafficControl, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return trafficControl{}, fmt.Errorf("open route netlink: %w", err)
	}
	_ = c.SetOption(netlink.ExtendedAcknowledge, true) // the kernel's own words, where it has any
	return trafficControl{c}, nil
}

func (t trafficControl) close() error { return t.conn.Close() }

// list reads all of the namespace's but what the kernel hides: the plain queues of classes.
func (t trafficControl) list() ([]qdisc, error) {
	got, err := t.conn.Execute(tcMessage(unix.RTM_GETQDISC, netlink.Request|netlink.Dump, qdisc{}, nil))
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil // a kernel without traffic control has none
	}
	if err != nil {
		return nil, fmt.Errorf("list queueing disciplines: %w", err)
	}
	var out []qdisc
	for _, m := range got {
		q, err := readQdisc(m.Data)
		if err != nil {
			return nil, fmt.Errorf("list queueing disciplines: %w", err)
		}
		out = append(out, q)
	}
	return out, nil
}

// add makes a queueing discipline. Exclusive without replace: the kernel itself refuses where somebody's stands.
func (t trafficControl) add(q qdisc, options []byte) error {
	flags := netlink.Request | netlink.Acknowledge | netlink.Create | netlink.Excl
	_, err := t.conn.Execute(tcMessage(unix.RTM_NEWQDISC, flags, q, options))
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("this kernel has no sch_%s: %w", q.kind, err)
	}
	if err != nil {
		return fmt.Errorf("add %s %s: %w", q.kind, q.handle, err)
	}
	return nil
}

// remove takes one away, and what is below it. The kernel compares handle and kind: another one's stays.
func (t trafficControl) remove(q qdisc) error {
	if _, err := t.conn.Execute(tcMessage(unix.RTM_DELQDISC, netlink.Request|netlink.Acknowledge, q, nil)); err != nil {
		return fmt.Errorf("remove %s %s: %w", q.kind, q.handle, err)
	}
	return nil
}

// tcMessage is struct tcmsg with its attributes.
func tcMessage(kind uint16, flags netlink.HeaderFlags, q qdisc, options []byte) netlink.Message {
	b := make([]byte, 20)
	binary.NativeEndian.PutUint32(b[4:], uint32(q.index))
	binary.NativeEndian.PutUint32(b[8:], uint32(q.handle))
	binary.NativeEndian.PutUint32(b[12:], uint32(q.parent))
	if q.kind != "" {
		b = appendAttr(b, unix.TCA_KIND, append([]byte(q.kind), 0))
	}
	if options != nil {
		b = appendAttr(b, unix.TCA_OPTIONS, options)
	}
	return netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: flags}, Data: b}
}

// appendAttr adds one attribute, padded as the next one needs it.
func appendAttr(b []byte, kind uint16, data []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(data)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, data...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// readQdisc reads struct tcmsg and what we use of its attributes.
func readQdisc(b []byte) (qdisc, error) {
	if len(b) < 20 {
		return qdisc{}, fmt.Errorf("a message of %d bytes is too short", len(b))
	}
	q := qdisc{
		index:  int32(binary.NativeEndian.Uint32(b[4:])),
		handle: handle(binary.NativeEndian.Uint32(b[8:])), parent: handle(binary.NativeEndian.Uint32(b[12:])),
	}
	d, err := netlink.NewAttributeDecoder(b[20:])
	if err != nil {
		return q, err
	}
	for d.Next() {
		switch d.Type() {
		case unix.TCA_KIND:
			q.kind = d.String()
		case unix.TCA_OPTIONS:
			q.options = d.Bytes()
		case unix.TCA_STATS2:
			d.Nested(q.readStats)
		}
	}
	return q, d.Err()
}

func (q *qdisc) readStats(d *netlink.AttributeDecoder) error {
	for d.Next() {
		b := d.Bytes()
		switch {
		case d.Type() == tcaStatsBasic && len(b) >= 12: // struct gnet_stats_basic
			q.bytes, q.passed = binary.NativeEndian.Uint64(b), uint64(binary.NativeEndian.Uint32(b[8:]))
		case d.Type() == tcaStatsQueue && len(b) >= 12: // struct gnet_stats_queue
			q.waiting, q.dropped = uint64(binary.NativeEndian.Uint32(b)), uint64(binary.NativeEndian.Uint32(b[8:]))
		}
	}
	return nil
}
