package helper

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"

	"github.com/eevans-d/simulacro/drills"
)

// InspectSpec asks which tables of ours, and which netem, are in the network namespace.
type InspectSpec struct {
	Kind string `json:"kind"`
}

// Inspected is the data of the "ready" frame of an inspection.
type Inspected struct {
	Tables []string `json:"tables"`
	// Qdiscs are the tags of netem trees of ours at the namespace's interfaces; QdiscTag makes them of a table's name.
	Qdiscs []uint16 `json:"qdiscs,omitempty"`
	Mono   int64    `json:"mono"` // after reading, CLOCK_MONOTONIC, ns
}

func inspect(p *drills.Pipe) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	tables, err := c.ListTables()
	if err != nil {
		return fmt.Errorf("list tables (the helper needs NET_ADMIN in the target's network namespace): %w", err)
	}
	tags, err := ourQdiscs()
	if err != nil {
		return err
	}
	return p.Send("ready", Inspected{Tables: ourTables(tables), Qdiscs: tags, Mono: drills.Monotonic()})
}

// Holds tells what of a fault is in the namespace: its table, which only a living helper keeps there and without which
// nothing meets the fault, and its netem, which a killed helper leaves behind. A tag that is another table's too counts as
// that one's.
func (i Inspected) Holds(table string) (rules, netem bool) {
	tag := QdiscTag(table)
	others := slices.ContainsFunc(i.Tables, func(t string) bool { return t != table && QdiscTag(t) == tag })
	return slices.Contains(i.Tables, table), slices.Contains(i.Qdiscs, tag) && !others
}

// SweepSpec asks for the netem that a killed helper left, of one fault, to be removed. That of a living one stays.
type SweepSpec struct {
	Kind string `json:"kind"`
	Op   string `json:"op"`
}

// sweep answers as an inspection does, with what is there afterwards.
func sweep(p *drills.Pipe, s SweepSpec) error {
	tc, err := openTrafficControl()
	if err != nil {
		return err
	}
	tag := QdiscTag(TablePrefix + s.Op)
	err = tc.sweepQdiscs(func(t uint16) bool { return t == tag })
	if err := errors.Join(err, tc.close()); err != nil {
		return fmt.Errorf("remove what a killed helper left: %w", err)
	}
	return inspect(p)
}

func ourQdiscs() ([]uint16, error) {
	tc, err := openTrafficControl()
	if err != nil {
		return nil, err
	}
	all, err := tc.list()
	var out []uint16
	for _, q := range all {
		if tag, ours := q.ourTag(); ours {
			out = append(out, tag)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), errors.Join(err, tc.close())
}

// ourTables lists the names of our tables once each, whatever their family.
func ourTables(tables []*nftables.Table) []string {
	out := []string{}
	for _, t := range tables {
		if strings.HasPrefix(t.Name, TablePrefix) {
			out = append(out, t.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
