package scenario

import (
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/eevans-d/simulacro/drills"
)

// sharePattern is how a share is written: ">= 99%".
var sharePattern = regexp.MustCompile(`^>=\s*([0-9]+(?:\.[0-9]+)?)\s*%$`)

// scalar fills text, numbers and booleans. Values are never quoted in messages: they may be secrets.
func (d *document) scalar(n *yaml.Node, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if !isText(n) {
			d.wrong(n, path, "text")
			return
		}
		v.SetString(n.Value)
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
			d.wrong(n, path, "true or false")
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Int, reflect.Int32, reflect.Int64:
		d.integer(n, path, v)
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, 64)
		if !isNumber(n) || err != nil {
			d.wrong(n, path, "a number")
			return
		}
		v.SetFloat(f)
	case reflect.Interface:
		d.free(n, path, v)
	default:
		d.addAt(n, path, fmt.Sprintf("a value of Go type %s cannot be written in a file", v.Type()), "report this as a bug")
	}
}

func (d *document) integer(n *yaml.Node, path string, v reflect.Value) {
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil || v.OverflowInt(i) {
		d.wrong(n, path, "a whole number")
		return
	}
	v.SetInt(i)
}

// free fills a field of type any, for parameters whose shape only their fault knows.
func (d *document) free(n *yaml.Node, path string, v reflect.Value) {
	var x any
	if err := n.Load(&x); err != nil || v.NumMethod() != 0 {
		d.addAt(n, path, "this value cannot be read", "")
		return
	}
	v.Set(reflect.ValueOf(x))
}

func isText(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" }

func isNumber(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!int" || n.ShortTag() == "!!float")
}

// text fills a type that reads itself from text, durations and times above all.
func (d *document) text(n *yaml.Node, path string, t encoding.TextUnmarshaler, v reflect.Value) {
	_, isTime := v.Interface().(time.Time)
	_, isDuration := v.Interface().(drills.Duration)
	switch {
	case isDuration && isNumber(n):
		d.addAt(n, path, "a bare number is not a duration", "write the unit: "+n.Value+"s, "+n.Value+"ms or "+n.Value+"m")
		return
	case !isText(n) && !isTime:
		d.wrong(n, path, "text")
		return
	}
	err := t.UnmarshalText([]byte(n.Value))
	switch {
	case isTime && (err != nil || n.Kind != yaml.ScalarNode):
		d.addAt(n, path, "this is not a time", "write it as 2026-12-24T18:00:00-03:00")
	case err != nil:
		d.addAt(n, path, err.Error(), "")
	case isDuration && v.Int() < 0:
		d.addAt(n, path, "a duration cannot be negative", "")
	}
}

func (d *document) share(n *yaml.Node, path string, v reflect.Value) {
	const hint = `write it as ">= 99%", in quotes`
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, path, `a share such as ">= 99%"`)
		return
	}
	m := sharePattern.FindStringSubmatch(strings.TrimSpace(n.Value))
	if m == nil {
		d.addAt(n, path, fmt.Sprintf("%q is not a share", n.Value), hint)
		return
	}
	percent, err := strconv.ParseFloat(m[1], 64)
	if err != nil || percent <= 0 || percent > 100 {
		d.addAt(n, path, fmt.Sprintf("%q is not between 0%% and 100%%", n.Value), hint)
		return
	}
	v.SetFloat(percent / 100)
}

// requirement reads {redis: {replicas: ">= 2"}} and {alerts-firing: none}: the one key is the component.
func (d *document) requirement(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "a mapping")
		return
	}
	if len(n.Content) != 2 {
		d.addAt(n, path, "a requirement has exactly one key", "{COMPONENT: {FACT: CONDITION}} or {alerts-firing: none}; one list item each")
		return
	}
	var r drills.Requirement
	d.entries(n, path, func(key, value *yaml.Node) {
		p := join(path, key.Value)
		if key.Value == "alerts-firing" {
			d.decode(value, p, reflect.ValueOf(&r.AlertsFiring).Elem())
			return
		}
		r.Component = key.Value
		d.decode(value, p, reflect.ValueOf(&r.Conditions).Elem())
	})
	v.Set(reflect.ValueOf(r))
}
