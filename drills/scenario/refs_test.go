package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

func TestExpand(t *testing.T) {
	base := t.TempDir()
	for name, text := range map[string]string{"plain": "s3cret", "line": "s3cret\n", "two": "a\n\n", "dir/deep": "x\r\n"} {
		p := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"USER_NAME": "me", "EMPTY": "", "NESTED": "${env:USER_NAME}"}
	expand := Expand(base, func(k string) (string, bool) { v, ok := env[k]; return v, ok })
	for _, c := range []struct{ in, want, err string }{
		{in: "", want: ""},
		{in: "nothing to do", want: "nothing to do"},
		{in: "${env:USER_NAME}", want: "me"},
		{in: "a${env:USER_NAME}b${file:plain}c", want: "amebs3cretc"},
		{in: "${file:line}", want: "s3cret"},
		{in: "${file:two}", want: "a\n"},
		{in: "${file:dir/deep}", want: "x"},
		{in: "${file:" + base + "/plain}", want: "s3cret"},
		{in: "${env:EMPTY}", want: ""},
		{in: "${env:NESTED}", want: "${env:USER_NAME}"}, // what a value holds is nobody's reference
		{in: "$$", want: "$"},
		{in: "$${env:USER_NAME}", want: "${env:USER_NAME}"},
		{in: "$5 and $", want: "$5 and $"},
		{in: "x${env:MISSING}", err: "the environment variable MISSING is not set (set it for this process, as in MISSING=… simulacro run …)"},
		{in: "${file:missing}", err: "the file " + base + "/missing of a ${file:} reference does not exist (is the system started? relative paths start at the system file's folder)"},
		{in: "${file:dir}", err: "the file of a ${file:} reference cannot be read"},
		{in: "${HOME}", err: "a reference cannot be read (write ${env:NAME} or ${file:PATH}; $$ is a dollar sign)"},
		{in: "${env:USER_NAME", err: "a reference cannot be read"},
	} {
		got, err := expand(c.in)
		if c.err != "" {
			if err == nil || !strings.HasPrefix(err.Error(), c.err) || drills.CodeOf(err) != drills.Input {
				t.Errorf("%q: error %v, want %s", c.in, err, c.err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%q: got %q %v, want %q", c.in, got, err, c.want)
		}
	}
}

func TestExpandNamesNoValueInErrors(t *testing.T) {
	expand := Expand(t.TempDir(), func(string) (string, bool) { return "hunter2", true })
	if _, err := expand("${env:A}${file:nothing}"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestSecretsInTheFile(t *testing.T) {
	for in, bad := range map[string]bool{
		"postgres://me:hunter2@db/x":              true,
		"postgres://me:pre${env:X}@db/x":          true,
		"postgres://me:${env:X}@db/x":             false,
		"postgres://me:${file:.state/pg}@db:1/x":  false,
		"postgres://me@db/x?password=hunter2&a=b": true,
		"postgres://db/x?sslmode=disable":         false,
		"host=db password='a b' user=me":          true,
		"host=db password=${env:X} user=me":       false,
	} {
		d := &document{root: nil, marks: map[string]mark{"dsn": {1, 1}}, spoilt: map[string]bool{}, budget: 1}
		d.dsnSecret("dsn", in)
		if got := len(d.problems) > 0; got != bad {
			t.Errorf("%s: secret found %v, want %v", in, got, bad)
		}
	}
}
