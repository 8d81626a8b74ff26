package helper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// tableOwner is NFT_TABLE_F_OWNER: the kernel (5.12 and later) removes the table when the socket that made it closes.
const tableOwner = 2

// priority is before connection tracking, NAT and any filter of the target's own.
const priority = -350

// chainAt is where a chain of ours hooks in.
type chainAt struct {
	kind     nftables.ChainType
	hook     *nftables.ChainHook
	priority *nftables.ChainPriority
}

// filters are the chains of most faults: before everything else, on what comes in and what goes out.
func filters() map[string]chainAt {
	first := nftables.ChainPriorityRef(priority)
	return map[string]chainAt{
		In:  {nftables.ChainTypeFilter, nftables.ChainHookInput, first},
		Out: {nftables.ChainTypeFilter, nftables.ChainHookOutput, first},
	}
}

// fence is a set of owner tables (one per address family) on one netlink socket.
type fence struct {
	name string
	at   map[string]chainAt
	sock *netlink.Conn
	conn *nftables.Conn

	mu     sync.Mutex // rules are added while counters are read
	tables map[nftables.TableFamily]*nftables.Table
	rules  []rule
}

// raise builds the tables and puts all rules in force in one batch. The instant at which they took effect lies between
// the two CLOCK_MONOTONIC stamps that now gives around that batch.
func raise(name string, rules []rule, now func() int64) (f *fence, from, to int64, err error) {
	return raiseAt(name, filters(), rules, now)
}

// raiseAt is raise with other chains.
func raiseAt(name string, at map[string]chainAt, rules []rule, now func() int64) (f *fence, from, to int64, err error) {
	var sock *netlink.Conn
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		sock = c
		return nil
	}))
	if err != nil {
		return nil, 0, 0, fmt.Errorf("open nftables (the helper needs NET_ADMIN in the target's network namespace): %w", err)
	}
	f = &fence{name: name, at: at, sock: sock, conn: conn, tables: map[nftables.TableFamily]*nftables.Table{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.CloseLasting()) // the socket's tables go with it
		}
	}()
	if err = f.prepare(rules); err != nil {
		return nil, 0, 0, err
	}
	from = now()
	err = conn.Flush()
	to = now()
	if err != nil {
		return nil, 0, 0, fmt.Errorf("put the rules in force: %w", err)
	}
	return f, from, to, nil
}

// extend adds rules to those in force.
func (f *fence) extend(rules []rule) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := len(f.rules)
	err := f.prepare(rules)
	if err == nil {
		err = f.conn.Flush()
	}
	if err != nil {
		f.rules = f.rules[:before]
	}
	return err
}

// prepare puts new rules, with the tables and chains that they need, into the library's buffer.
func (f *fence) prepare(rules []rule) error {
	for _, r := range rules {
		if f.tables[r.family] == nil {
			table, err := owned(f.sock, f.name, r.family)
			if err != nil {
				return err
			}
			f.tables[r.family] = table
			f.chains(table)
		}
		chain := &nftables.Chain{Name: r.chain, Table: f.tables[r.family]}
		f.conn.AddRule(&nftables.Rule{Table: f.tables[r.family], Chain: chain, Exprs: r.exprs})
	}
	f.rules = append(f.rules, rules...)
	return nil
}

// owned creates a table with the owner flag. The library always sends flags 0, so the message is made by hand, on the
// library's own socket: only that socket may then add to the table.
func owned(sock *netlink.Conn, name string, family nftables.TableFamily) (*nftables.Table, error) {
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_TABLE_NAME, Data: []byte(name + "\x00")},
		{Type: unix.NFTA_TABLE_FLAGS, Data: binaryutil.BigEndian.PutUint32(tableOwner)},
	})
	if err != nil {
		return nil, err
	}
	batch := func(kind int) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request},
			Data:   nfgen(0, unix.NFNL_SUBSYS_NFTABLES),
		}
	}
	create := netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE),
			Flags: netlink.Request | netlink.Acknowledge | netlink.Create | netlink.Excl,
		},
		Data: append(nfgen(byte(family), 0), attrs...),
	}
	if _, err := sock.SendMessages([]netlink.Message{batch(unix.NFNL_MSG_BATCH_BEGIN), create, batch(unix.NFNL_MSG_BATCH_END)}); err != nil {
		return nil, fmt.Errorf("create table %s: %w", name, err)
	}
	if _, err := sock.Receive(); err != nil {
		return nil, fmt.Errorf("create table %s with the owner flag (Linux 5.12 or later): %w", name, err)
	}
	return &nftables.Table{Name: name, Family: family}, nil
}

func nfgen(family byte, resource uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{family, unix.NFNETLINK_V0}, resource)
}

// chains makes a table's chains, which let everything pass that no rule stops.
func (f *fence) chains(table *nftables.Table) {
	accept := nftables.ChainPolicyAccept
	for name, at := range f.at {
		f.conn.AddChain(&nftables.Chain{Name: name, Table: table, Type: at.kind, Hooknum: at.hook, Priority: at.priority, Policy: &accept})
	}
}

// counts reads the packets dropped so far, by peer. It uses a socket of its own, so that replies never mix.
func (f *fence) counts() (map[string]uint64, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]uint64{}
	for _, family := range slices.Sorted(maps.Keys(f.tables)) {
		for _, chain := range slices.Sorted(maps.Keys(f.at)) {
			got, err := c.GetRules(f.tables[family], &nftables.Chain{Name: chain})
			if err != nil {
				return nil, fmt.Errorf("read counters: %w", err)
			}
			f.tally(out, family, chain, got)
		}
	}
	return out, nil
}

// tally pairs the kernel's rules of a chain with ours by their order, which the kernel keeps.
func (f *fence) tally(out map[string]uint64, family nftables.TableFamily, chain string, got []*nftables.Rule) {
	i := 0
	for _, r := range f.rules {
		if r.family != family || r.chain != chain || i >= len(got) {
			continue
		}
		for _, e := range got[i].Exprs {
			if c, ok := e.(*expr.Counter); ok {
				out[r.peer] += c.Packets
			}
		}
		i++
	}
}

// lower removes the tables. When that fails the closing socket still takes them along.
func (f *fence) lower() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.tables {
		f.conn.DelTable(t)
	}
	return errors.Join(f.conn.Flush(), f.conn.CloseLasting())
}
