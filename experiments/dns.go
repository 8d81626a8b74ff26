package experiments

import (
	"net/netip"
	"path"
	"slices"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// DNS spoils the answers to a target's DNS queries over UDP.
type DNS struct {
	Mode    string          `yaml:"mode" json:"mode"`                 // silence, servfail, nxdomain, refused, wrong, slow
	Names   []string        `yaml:"names" json:"names,omitempty"`     // with *, as in *.example.org; none: every name
	Address string          `yaml:"address" json:"address,omitempty"` // mode wrong
	Delay   drills.Duration `yaml:"delay" json:"delay,omitempty"`     // mode slow
	Share   Percent         `yaml:"share" json:"share"`               // of the matching queries; default all
}

func dnsKind() drills.Kind {
	return trafficKind("dns", verbDNS, "Spoil a member's name resolution: no answer, an error, a wrong address, or late", "matching queries that the queue answered, dropped or held",
		func() *DNS { return &DNS{Share: 1} })
}

// Validate checks the parameters.
func (f *DNS) Validate() error {
	bad := func(hint, format string, args ...any) error {
		return drills.Errorf(drills.Input, hint, "dns: "+format, args...)
	}
	modes := []string{helper.Silence, helper.ServFail, helper.NXDomain, helper.Refused, helper.Wrong, helper.Slow}
	if !slices.Contains(modes, f.Mode) {
		return bad("", "mode: must be one of %v, found %q", modes, f.Mode)
	}
	if _, err := netip.ParseAddr(f.Address); (f.Mode == helper.Wrong) != (err == nil) || f.Mode != helper.Wrong && f.Address != "" {
		return bad("for example `address: 192.0.2.1`", "address: is an IP address and goes with mode: wrong")
	}
	if (f.Mode == helper.Slow) != (f.Delay > 0) {
		return bad("for example `delay: 3s`", "delay: goes with mode: slow")
	}
	for _, n := range f.Names {
		if _, err := path.Match(n, ""); err != nil || n == "" {
			return bad("", "names: %q is not a name or pattern", n)
		}
	}
	return needShare("dns", f.Share)
}

// Plan spoils each target's name resolution.
func (f *DNS) Plan(s drills.Scene) ([]drills.Change, error) {
	return onTraffic(s, "dns", verbDNS, Path{}, helper.Effects{DNS: &helper.DNS{
		Mode: f.Mode, Names: f.Names, Address: f.Address, Delay: f.Delay, Share: float64(f.Share),
	}})
}
