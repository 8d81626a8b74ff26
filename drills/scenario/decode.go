package scenario

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/eevans-d/simulacro/drills"
)

// decode fills v from a node. Everything it does not understand becomes a problem and it goes on, so that one reading
// finds all of them. It is our own walk because the library's decoder loses columns and stops at the first duplicate.
func (d *document) decode(n *yaml.Node, path string, v reflect.Value) {
	n, ok := d.visit(n, path)
	if !ok {
		return
	}
	switch v.Interface().(type) {
	case yaml.Node:
		v.Set(reflect.ValueOf(*n))
		return
	case drills.Share:
		d.share(n, path, v)
		return
	case drills.Losses, drills.LoadBounds:
		if n.Kind == yaml.MappingNode { // a single one
			one := reflect.New(v.Type().Elem()).Elem()
			d.decode(n, path, one)
			v.Set(reflect.Append(reflect.Zero(v.Type()), one))
			return
		}
	case drills.From:
		if n.Kind == yaml.SequenceNode {
			d.vantages(n, path, v)
			return
		}
	case drills.Requirement:
		d.requirement(n, path, v)
		return
	}
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(n, path, t, v)
		return
	}
	d.kind(n, path, v)
	d.remember(path, v)
}

// remember keeps what is checked once everything has been read, wherever in the file it was.
func (d *document) remember(path string, v reflect.Value) {
	if d.spoilt[path] {
		return
	}
	switch x := v.Addr().Interface().(type) {
	case *drills.Target:
		d.targets = append(d.targets, placedTarget{path: path, target: *x})
	case *drills.Login:
		d.logins = append(d.logins, placedLogin{path: path, login: x})
	}
}

func (d *document) kind(n *yaml.Node, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		d.decode(n, path, p.Elem())
		v.Set(p)
	case reflect.Struct:
		d.structure(n, path, v)
	case reflect.Map:
		d.mapping(n, path, v)
	case reflect.Slice, reflect.Array:
		d.list(n, path, v)
	default:
		d.scalar(n, path, v)
	}
}

// visit follows aliases and notes what no value may be: empty, or too much of it.
func (d *document) visit(n *yaml.Node, path string) (*yaml.Node, bool) {
	d.budget--
	if d.budget == 0 {
		d.addAt(n, path, tooMuch, "aliases that refer to each other multiply; write the values out")
	}
	if d.budget <= 0 {
		return nil, false
	}
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		d.addAt(n, path, "this key has no value", "give it one or remove the key")
		return nil, false
	}
	return n, true
}

func (d *document) wrong(n *yaml.Node, path, want string) {
	hint := ""
	if n.Kind == yaml.ScalarNode && want == "text" {
		hint = "put it in quotes"
	}
	d.addAt(n, path, fmt.Sprintf("want %s, found %s", want, describe(n)), hint)
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!timestamp":
		return "a time"
	}
	return "a value tagged " + n.ShortTag()
}

// entries hands every key of a mapping to f once, noting duplicates and keys that are not text.
func (d *document) entries(n *yaml.Node, path string, f func(key, value *yaml.Node)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.ShortTag() == "!!merge":
			d.addAt(key, join(path, "<<"), "merge keys are not read", "write the keys out, or use an alias for the whole value")
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			d.addAt(key, path, "a key must be text, found "+describe(key), "put it in quotes")
		case seen[key.Value] != 0:
			d.addAt(key, join(path, key.Value), fmt.Sprintf("the key is there twice, first on line %d", seen[key.Value]), "remove one")
		default:
			seen[key.Value] = key.Line
			d.marks[join(path, key.Value)] = mark{key.Line, key.Column}
			f(key, value)
		}
	}
}

func (d *document) structure(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "a mapping")
		return
	}
	fields := map[string]reflect.Value{}
	var names []string
	fieldsOf(v, fields, &names)
	d.entries(n, path, func(key, value *yaml.Node) {
		f, ok := fields[key.Value]
		if !ok {
			d.unknown(key, path, names)
			return
		}
		d.decode(value, join(path, key.Value), f)
	})
}

// unknown notes an unknown key. The key that was probably meant is not reported as missing as well.
func (d *document) unknown(key *yaml.Node, path string, names []string) {
	d.addAt(key, join(path, key.Value), "unknown key "+key.Value, didYouMean(key.Value, names))
	if meant := nearest(key.Value, names); meant != "" {
		d.spoilt[join(path, meant)] = true
	}
}

// fieldsOf lists a struct's fields by the name they have in files: the yaml tag, else the json tag, else the
// lower-case Go name. Embedded structs are flattened.
func fieldsOf(v reflect.Value, out map[string]reflect.Value, names *[]string) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, inline := fieldName(f)
		switch {
		case inline:
			fieldsOf(v.Field(i), out, names)
		case name != "" && f.IsExported():
			out[name] = v.Field(i)
			*names = append(*names, name)
		}
	}
}

func fieldName(f reflect.StructField) (name string, inline bool) {
	tag, ok := f.Tag.Lookup("yaml")
	if !ok {
		tag = f.Tag.Get("json")
	}
	name, options, _ := strings.Cut(tag, ",")
	switch {
	case name == "-":
		return "", false
	case f.Type.Kind() == reflect.Struct && (strings.Contains(options, "inline") || f.Anonymous && name == ""):
		return "", true
	case name == "":
		return strings.ToLower(f.Name), false
	}
	return name, false
}

func (d *document) mapping(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "a mapping")
		return
	}
	m := reflect.MakeMap(v.Type())
	d.entries(n, path, func(key, value *yaml.Node) {
		e := reflect.New(v.Type().Elem()).Elem()
		d.decode(value, join(path, key.Value), e)
		m.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), e)
	})
	v.Set(m)
}

func (d *document) list(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, path, "a list")
		return
	}
	if v.Kind() == reflect.Array && len(n.Content) != v.Len() {
		d.addAt(n, path, fmt.Sprintf("want %d values, found %d", v.Len(), len(n.Content)), "")
		return
	}
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	}
	for i, c := range n.Content {
		p := fmt.Sprintf("%s[%d]", path, i)
		d.marks[p] = mark{c.Line, c.Column}
		d.decode(c, p, v.Index(i))
	}
}
