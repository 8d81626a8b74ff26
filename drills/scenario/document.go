package scenario

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/eevans-d/simulacro/drills"
)

// maxFile is the largest file read, in bytes: far beyond any scenario, small enough to refuse a mistaken path quickly.
const maxFile = 1 << 20

const tooMuch = "the file unfolds to too many values"

// mark is a place in the file.
type mark struct{ line, column int }

// document is one parsed file on its way to a domain type: it knows where every value stands and collects what is wrong.
type document struct {
	file     string
	root     *yaml.Node
	marks    map[string]mark // path -> its value (for a mapping's entries: its key)
	problems Errors
	spoilt   map[string]bool // paths that have a problem already: one each is enough
	targets  []placedTarget
	logins   []placedLogin
	places   map[string][]drills.From // lists of places, by the path of their `from:`
	budget   int                      // nodes that may still be visited; aliases can multiply them
}

// placedTarget is a target found anywhere in a drill, to be checked once everything has been read.
type placedTarget struct {
	path   string
	target drills.Target
}

// placedLogin is the same for a login.
type placedLogin struct {
	path  string
	login *drills.Login
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return nil, drills.Errorf(drills.Input, "name a YAML file", "%s is a directory", path)
	}
	if err == nil && info.Size() > maxFile {
		return nil, drills.Errorf(drills.Input, "scenario files are small; is this the right one?", "%s has more than %d bytes", path, maxFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, drills.Wrap(drills.Input, err, "the file cannot be read", "check the path and its permissions")
	}
	return b, nil
}

// parse reads the bytes as one YAML mapping. What is wrong with the syntax is the only problem then.
func parse(file string, b []byte) (*document, error) {
	d := &document{file: file, marks: map[string]mark{}, spoilt: map[string]bool{}, places: map[string][]drills.From{}, budget: 20_000}
	var n yaml.Node
	if err := yaml.Load(b, &n); err != nil {
		return nil, Errors{syntaxProblem(file, err)}
	}
	if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		d.root = n.Content[0]
	}
	if d.root == nil || d.root.Kind != yaml.MappingNode {
		return nil, Errors{{File: file, Line: 1, Column: 1, Message: "this is not a mapping of keys to values", Hint: "start with `version: 1`"}}
	}
	return d, nil
}

func syntaxProblem(file string, err error) Problem {
	p := Problem{File: file, Message: err.Error(), Hint: "the file is not valid YAML here; nothing else was checked"}
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		return p
	}
	p.Message = le.Message
	if le.ContextMsg != "" {
		p.Message = le.ContextMsg + ": " + p.Message
	}
	p.Message = strings.TrimPrefix(p.Message, "yaml: ")
	p.Line, p.Column = le.Mark.Line, le.Mark.Column
	switch p.Message {
	case "no documents in stream":
		p.Message, p.Hint = "the file is empty", "start with `version: 1`"
	case "expected single document, found multiple":
		p.Message, p.Hint = "the file holds more than one document", "one file each; remove the `---` line"
	}
	return p
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// add notes a problem with the value at a path, unless that very value has one already.
func (d *document) add(path, message, hint string) {
	if d.spoilt[path] {
		return
	}
	d.spoilt[path] = true
	at := d.place(path)
	d.problems = append(d.problems, Problem{File: d.file, Line: at.line, Column: at.column, Path: path, Message: message, Hint: hint})
}

// addAt notes a problem at a node of the file.
func (d *document) addAt(n *yaml.Node, path, message, hint string) {
	d.spoilt[path] = true
	d.problems = append(d.problems, Problem{File: d.file, Line: n.Line, Column: n.Column, Path: path, Message: message, Hint: hint})
}

// has tells whether the file names the path.
func (d *document) has(path string) bool { _, ok := d.marks[path]; return ok }

// place is where the path stands in the file; what is missing is where its parent is.
func (d *document) place(path string) mark {
	for p := path; p != ""; p = parent(p) {
		if m, ok := d.marks[p]; ok {
			return m
		}
	}
	return mark{line: d.root.Line, column: d.root.Column}
}

// err is the collected problems as an error, nil when there are none.
func (d *document) err() error {
	if len(d.problems) == 0 {
		return nil
	}
	if d.budget <= 0 { // whatever else was found was found many times over
		i := slices.IndexFunc(d.problems, func(p Problem) bool { return p.Message == tooMuch })
		return d.problems[i : i+1]
	}
	return d.problems.sorted()
}

// parent is the path without its last key or index. Keys may hold dots (labels), which then only coarsens a position.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
