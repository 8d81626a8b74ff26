package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/eevans-d/simulacro/drills"
)

var (
	referencePattern = regexp.MustCompile(`^\$\{(env:[A-Za-z_][A-Za-z0-9_]*|file:[^{}$\s][^{}$]*)\}`)
	wholeReference   = regexp.MustCompile(`^\$\{(env|file):[^{}$]+\}$`)
)

// Expand resolves ${env:NAME} and ${file:PATH} in a value; $$ is a dollar sign. Paths are relative to base, the folder
// of the system file; one trailing newline of a file is dropped. What is missing is an error that names the variable or
// the file. Errors never hold values.
func Expand(base string, getenv func(string) (string, bool)) func(string) (string, error) {
	return func(s string) (string, error) {
		var out strings.Builder
		for {
			i := strings.IndexByte(s, '$')
			if i < 0 {
				out.WriteString(s)
				return out.String(), nil
			}
			out.WriteString(s[:i])
			s = s[i:]
			value, rest, err := expandOne(s, base, getenv)
			if err != nil {
				return "", err
			}
			out.WriteString(value)
			s = rest
		}
	}
}

// expandOne resolves what s starts with: a dollar sign at least.
func expandOne(s, base string, getenv func(string) (string, bool)) (value, rest string, err error) {
	switch {
	case strings.HasPrefix(s, "$$"):
		return "$", s[2:], nil
	case !strings.HasPrefix(s, "${"):
		return "$", s[1:], nil
	}
	m := referencePattern.FindStringSubmatch(s)
	if m == nil {
		return "", "", drills.Errorf(drills.Input, "write ${env:NAME} or ${file:PATH}; $$ is a dollar sign", "a reference cannot be read")
	}
	kind, name, _ := strings.Cut(m[1], ":")
	if kind == "file" {
		value, err = expandFile(base, name)
	} else if v, ok := getenv(name); ok {
		value = v
	} else {
		err = drills.Errorf(drills.Input, "set it for this process, as in "+name+"=… simulacro run …", "the environment variable %s is not set", name)
	}
	return value, s[len(m[0]):], err
}

func expandFile(base, name string) (string, error) {
	p := name
	if !filepath.IsAbs(p) {
		p = filepath.Join(base, p)
	}
	b, err := os.ReadFile(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", drills.Errorf(drills.Input, "is the system started? relative paths start at the system file's folder", "the file %s of a ${file:} reference does not exist", p)
	case err != nil:
		return "", drills.Wrap(drills.Input, err, "the file of a ${file:} reference cannot be read", "check its permissions")
	}
	s := strings.TrimSuffix(string(b), "\n")
	return strings.TrimSuffix(s, "\r"), nil
}

// references checks the syntax of every reference in the file but those given. Nothing is resolved.
func (d *document) references(n *yaml.Node, path string, but ...string) {
	for i, c := range n.Content {
		p := path
		switch {
		case n.Kind == yaml.SequenceNode:
			p = fmt.Sprintf("%s[%d]", path, i)
		case n.Kind == yaml.MappingNode && i%2 == 1:
			p = join(path, n.Content[i-1].Value)
		}
		d.references(c, p, but...)
	}
	if n.Kind == yaml.ScalarNode && !readable(n.Value, but) {
		d.addAt(n, path, "a reference here cannot be read", "write ${env:NAME} or ${file:PATH}; $$ is a dollar sign")
	}
}

// readable tells whether every ${ in the text begins a reference.
func readable(s string, but []string) bool {
	s = strings.ReplaceAll(s, "$$", "")
	for _, b := range but {
		s = strings.ReplaceAll(s, b, "")
	}
	for {
		_, rest, found := strings.Cut(s, "${")
		if !found {
			return true
		}
		if !referencePattern.MatchString("${" + rest) {
			return false
		}
		s = rest
	}
}

// secret notes a password that stands in the file itself. The whole file goes into the journal, so it must be a reference.
func (d *document) secret(path, s string) {
	if s != "" && !wholeReference.MatchString(s) {
		d.add(path, "a secret must not stand in the file, which is recorded as it is", "write ${env:NAME} or ${file:PATH} and nothing else")
	}
}

var (
	dsnUserinfo = regexp.MustCompile(`^[a-z]+://[^/?#@]*?:([^/?#]*)@`)
	dsnPassword = regexp.MustCompile(`(?:^|[\s?&])password\s*=\s*('[^']*'|[^\s&]*)`)
)

// dsnSecret is the same for the password inside a connection string or URL.
func (d *document) dsnSecret(path, s string) {
	for _, p := range []*regexp.Regexp{dsnUserinfo, dsnPassword} {
		if m := p.FindStringSubmatch(s); m != nil {
			d.secret(path, strings.Trim(m[1], "'"))
		}
	}
}
