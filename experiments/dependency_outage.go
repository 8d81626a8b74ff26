package experiments

import (
	"slices"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// How a dependency is away.
const (
	asSilence = "silence"
	asRefused = "refused"
	asUnknown = "unknown-name"
)

// DependencyOutage takes one dependency away from the targets, by name: a component of the system or a host outside it.
// The dependency itself goes on, and so does everybody else who uses it.
type DependencyOutage struct {
	On    string `yaml:"on" json:"on,omitempty"`     // a component
	Host  string `yaml:"host" json:"host,omitempty"` // or a name outside the system
	Ports []int  `yaml:"ports" json:"ports,omitempty"`
	As    string `yaml:"as" json:"as"` // silence: packets vanish; refused: connections are; unknown-name: the name is not resolved
}

func dependencyOutageKind() drills.Kind {
	k := trafficKind("dependency-outage", verbPartition, "Take one dependency away from a member, by name: silence, refused connections, or an unknown name",
		"packets dropped or rejected, or queries answered, by our own rules and queue",
		func() *DependencyOutage { return &DependencyOutage{As: asSilence} })
	k.Info.Verbs = []string{verbPartition, verbReset, verbDNS, verbHeal}
	return k
}

// Validate checks the parameters.
func (f *DependencyOutage) Validate() error {
	if (f.On == "") == (f.Host == "") {
		return drills.Errorf(drills.Input, "for example `on: redis` or `host: api.telegram.org`", "dependency-outage: name the dependency with either on: or host:")
	}
	if !slices.Contains([]string{asSilence, asRefused, asUnknown}, f.As) {
		return drills.Errorf(drills.Input, "", "dependency-outage: as: must be silence, refused or unknown-name, found %q", f.As)
	}
	if f.As == asUnknown && len(f.Ports) > 0 {
		return drills.Errorf(drills.Input, "remove `ports`", "dependency-outage: a name is unknown on every port")
	}
	return f.path().validate("dependency-outage")
}

func (f *DependencyOutage) path() Path {
	p := Path{Direction: helper.Both, Ports: f.Ports}
	if f.On != "" {
		p.Peers = []drills.Target{{Component: f.On}}
	}
	if f.Host != "" {
		p.Hosts = []string{f.Host}
	}
	return p
}

// Plan takes the dependency away from each target.
func (f *DependencyOutage) Plan(s drills.Scene) ([]drills.Change, error) {
	p := f.path()
	switch f.As {
	case asRefused:
		p.Protocol = helper.TCP
		return onTraffic(s, "dependency-outage", verbReset, p, helper.Effects{Reset: &helper.Reset{Share: 1, New: true}})
	case asUnknown:
		names, err := f.names(s)
		if err != nil {
			return nil, err
		}
		return onTraffic(s, "dependency-outage", verbDNS, Path{}, helper.Effects{DNS: &helper.DNS{Mode: helper.NXDomain, Names: names}})
	}
	return (&Partition{From: p.Peers, Hosts: p.Hosts, Direction: p.Direction, Ports: p.Ports}).Plan(s)
}

// names are what the dependency is called in the system's networks: its members' names and those of their services.
func (f *DependencyOutage) names(s drills.Scene) ([]string, error) {
	if f.Host != "" {
		return []string{f.Host}, nil
	}
	found, err := s.Match(drills.Target{Component: f.On})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, m := range found {
		out = append(out, m.Name, m.Service)
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(n string) bool { return n == "" }), nil
}
