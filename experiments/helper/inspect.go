package helper

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"

	"github.com/eevans-d/simulacro/drills"
)

// InspectSpec asks which tables of ours are in the network namespace.
type InspectSpec struct {
	Kind string `json:"kind"`
}

// Inspected is the data of the "ready" frame of an inspection.
type Inspected struct {
	Tables []string `json:"tables"`
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
	return p.Send("ready", Inspected{Tables: ourTables(tables), Mono: drills.Monotonic()})
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
