package scenario

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

var namePattern = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// environments are the ones a system may be in and a drill may allow.
func environments() []string {
	return []string{"reference", "development", "test", "staging", "production"}
}

func (d *document) version(v int) {
	switch {
	case !d.has("version"):
		d.add("version", "version is missing", "write `version: 1`")
	case v != 1:
		d.add("version", fmt.Sprintf("version %d is not known", v), "this program reads version 1")
	}
}

// required notes a value that is not there. Empty counts as not there.
func (d *document) required(path string, there bool, hint string) bool {
	if there {
		return true
	}
	key := path[strings.LastIndexByte(path, '.')+1:]
	if d.has(path) {
		d.add(path, key+" is empty", hint)
	} else {
		d.add(path, key+" is missing", hint)
	}
	return false
}

// name checks a name of ours: lower-case with dashes. Empty ones are somebody else's business.
func (d *document) name(path, name string) {
	if name != "" && !namePattern.MatchString(name) {
		d.add(path, fmt.Sprintf("%q is not a name", name), "names are lower-case letters, digits and single dashes")
	}
}

// requiredName checks a name that must be there.
func (d *document) requiredName(path, name, hint string) {
	if d.required(path, name != "", hint) {
		d.name(path, name)
	}
}

// known checks a word against a closed list. Empty ones are somebody else's business.
func (d *document) known(path, what, word string, list []string) {
	if word != "" && !slices.Contains(list, word) {
		d.add(path, fmt.Sprintf("%s %q is not known", what, word), didYouMean(word, list))
	}
}

// between checks a duration that was given against its sensible bounds.
func (d *document) between(path string, v drills.Duration, lo, hi time.Duration) {
	if v.D() < lo || v.D() > hi {
		d.add(path, fmt.Sprintf("%s is out of range", short(v)), fmt.Sprintf("from %s to %s", short(drills.Duration(lo)), short(drills.Duration(hi))))
	}
}

// short is the duration as people write it: 10m, not 10m0s.
func short(v drills.Duration) string {
	s := v.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// positive checks a duration that makes no sense as zero, where the file names it.
func (d *document) positive(path string, v drills.Duration) {
	if v == 0 && d.has(path) {
		d.add(path, "zero can never be met", "give it a length such as 30s, or remove the key")
	}
}

// needed checks a duration that must be there and be longer than zero.
func (d *document) needed(path string, v drills.Duration, hint string) {
	d.positive(path, v)
	d.required(path, v > 0, hint)
}

// url checks a URL's scheme and host. One that holds references is checked when they are expanded.
func (d *document) url(path, s string, schemes ...string) {
	if s == "" || strings.Contains(s, "${") {
		return
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		d.add(path, "this is not a URL", "write it as "+schemes[0]+"://host:port/path")
	case !slices.Contains(schemes, u.Scheme):
		d.add(path, fmt.Sprintf("the scheme %q cannot be used here", u.Scheme), oneOf(schemes))
	}
}

// address checks host:port. One that holds references is checked when they are expanded.
func (d *document) address(path, s string) {
	if strings.Contains(s, "${") {
		return
	}
	host, port, err := net.SplitHostPort(s)
	if err == nil && host != "" {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || host == "" || port == "" {
		d.add(path, fmt.Sprintf("%q is not an address", s), "write it as host:port")
	}
}

func (d *document) addresses(path string, list []string) {
	for i, a := range list {
		d.address(fmt.Sprintf("%s[%d]", path, i), a)
	}
}

// keys of a map, for hints.
func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
