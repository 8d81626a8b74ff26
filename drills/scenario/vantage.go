package scenario

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/eevans-d/simulacro/drills"
)

// vantages reads `from:` where it is a list: the same probe from several places. The places are kept until all probes are read.
func (d *document) vantages(n *yaml.Node, path string, v reflect.Value) {
	var list []drills.From
	d.list(n, path, reflect.ValueOf(&list).Elem())
	d.places[path] = list
	if len(list) > 0 {
		v.Set(reflect.ValueOf(list[0]))
	}
}

// everyVantage checks all the places that a probe is asked from.
func (d *document) everyVantage(path string, p drills.ProbeSpec) {
	list, several := d.places[path+".from"]
	if !several {
		d.from(path, p.From, p.Kind == "command")
		return
	}
	d.required(path+".from", len(list) > 0, "{network: NAME}, {host: true} or a list of them")
	for i, f := range list {
		at := fmt.Sprintf("%s.from[%d]", path, i)
		d.fromAt(at, f, p.Kind == "command")
		if slices.IndexFunc(list, func(g drills.From) bool { return drills.Vantage("", g) == drills.Vantage("", f) }) < i {
			d.add(at, "this place is there twice", "remove one")
		}
	}
}

// onePlace refuses a list where only one place makes sense.
func (d *document) onePlace(path, why string) {
	if _, several := d.places[path+".from"]; several {
		d.add(path+".from", why, "give one place; only probes are asked from several")
	}
}

// spread makes one probe of each place, called NAME@PLACE, and lets whatever says what recovered means ask for all of them.
func (d *document) spread(s *drills.System) {
	for _, name := range slices.Sorted(maps.Keys(s.Probes)) {
		list := d.places[join("probes", name)+".from"]
		if len(list) < 2 {
			continue
		}
		for _, f := range list {
			p := s.Probes[name]
			p.From = f
			s.Probes[drills.Vantage(name, f)] = p
		}
		delete(s.Probes, name)
	}
}

// spreadOut names the probes that became several.
func (d *document) spreadOut() []string {
	var out []string
	for path, list := range d.places {
		if name, ok := strings.CutSuffix(strings.TrimPrefix(path, "probes."), ".from"); ok && len(list) > 1 {
			out = append(out, name)
		}
	}
	return out
}

// spreadNames replaces the names of probes with several places by those of each.
func spreadNames(s *drills.System, names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, s.Series(n)...)
	}
	return out
}

// oneProbe checks the name of a single series: where a probe has several, one of them has to be named.
func (d *document) oneProbe(path, name string, s *drills.System) {
	if all := s.Series(name); len(all) > 1 {
		d.add(path, fmt.Sprintf("%s is asked from %d places", name, len(all)), "name "+oneOf(all))
		return
	}
	d.known(path, "probe", name, keys(s.Probes))
}
