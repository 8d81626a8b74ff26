package helper

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"slices"
	"strings"

	"github.com/google/nftables"
)

// A queueing discipline has no name and no owner, but a number. Ours are numbered so that any process knows them again: the
// first four bits by their part in the tree, the other twelve by the table to which they belong.
const (
	prioMajor  = 0x5000
	tbfMajor   = 0x6000
	netemMajor = 0x7000
	tagBits    = 0x0fff
)

// QdiscTag is the number by which the queueing disciplines of a fault are known, made from its table's name.
func QdiscTag(table string) uint16 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(table)) // never fails
	sum := h.Sum32()
	return uint16(sum^sum>>16) & tagBits
}

// part is the handle of one of a fault's disciplines; class 0 is the discipline itself.
func part(major, tag, class uint16) handle { return handle(major|tag)<<16 | handle(class) }

// ourTag tells whether a discipline at an interface is the root of ours, and of which fault.
func (q qdisc) ourTag() (uint16, bool) {
	major := uint16(q.handle >> 16)
	ours := q.parent == atRoot && q.kind == "prio" && major&^tagBits == prioMajor && bytes.Equal(q.options, prioOptions())
	return major & tagBits, ours
}

// foreign tells whether somebody put it at the interface's root: what the kernel puts there by itself has no number.
func (q qdisc) foreign() bool { return q.parent == atRoot && q.handle != 0 }

// liveTags are those of the tables of ours that are in the namespace, each of which has a living helper.
func liveTags() ([]uint16, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	tables, err := c.ListTables()
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	var out []uint16
	for _, name := range ourTables(tables) {
		out = append(out, QdiscTag(name))
	}
	return out, nil
}

// leftOver lists the disciplines of ours to which no table belongs: their helper was killed.
func (t trafficControl) leftOver() ([]qdisc, error) {
	all, err := t.list()
	if err != nil {
		return nil, err
	}
	live, err := liveTags() // after the list: a table is there before its disciplines are, and goes first
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(q qdisc) bool {
		tag, ours := q.ourTag()
		return !ours || slices.Contains(live, tag)
	}), nil
}

// sweepQdiscs removes what killed helpers left.
func (t trafficControl) sweepQdiscs(which func(tag uint16) bool) error {
	left, err := t.leftOver()
	errs := []error{err}
	for _, q := range left {
		if tag, _ := q.ourTag(); which(tag) {
			errs = append(errs, t.remove(q))
		}
	}
	return errors.Join(errs...)
}

// upLinks are the interfaces that packets can leave by, without loopback.
func upLinks() ([]net.Interface, error) {
	all, err := net.Interfaces()
	return slices.DeleteFunc(all, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 || i.Flags&net.FlagUp == 0 }), err
}

// mostLinks is on how many interfaces netem is built at most: a namespace with more is a host's.
const mostLinks = 8

// free finds the interfaces for netem, or says in words for the record why it must not be built there.
func (t trafficControl) free() ([]net.Interface, string, error) {
	if err := t.sweepQdiscs(func(uint16) bool { return true }); err != nil {
		return nil, "", err
	}
	links, err := upLinks()
	if err != nil {
		return nil, "", err
	}
	all, err := t.list()
	if err != nil {
		return nil, "", err
	}
	if len(links) == 0 || len(links) > mostLinks {
		return nil, fmt.Sprintf("the target has %d interfaces, netem is built on 1 to %d", len(links), mostLinks), nil
	}
	var why []string
	for _, l := range links {
		for _, q := range all {
			if int(q.index) == l.Index && q.foreign() {
				why = append(why, l.Name+" has a queueing discipline already: "+q.named())
			}
		}
	}
	return links, strings.Join(why, "; "), nil
}

func (q qdisc) named() string {
	if _, ours := q.ourTag(); ours {
		return "netem of another fault"
	}
	return q.kind + " " + q.handle.String()
}
