package scenario

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func seed(f *testing.F, kinds ...string) {
	f.Helper()
	for _, pattern := range kinds {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
}

// check is what holds for any bytes: problems with a text each, or a file that the strict decoder of the library, which
// knows nothing of ours, would not find unknown keys in. top are the keys of the first level.
func check(t *testing.T, b []byte, err error, top ...string) {
	t.Helper()
	var problems Errors
	if err != nil {
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("not a list of problems: %v", err)
		}
		for _, p := range problems {
			if p.Message == "" || p.Line < 0 || p.Column < 0 {
				t.Fatalf("%+v", p)
			}
		}
		return
	}
	var keys map[string]any
	if err := yaml.Unmarshal(b, &keys); err != nil {
		t.Fatalf("accepted what is no mapping: %v", err)
	}
	for k := range keys {
		if !strings.Contains(" "+strings.Join(top, " ")+" ", " "+k+" ") {
			t.Fatalf("accepted the unknown key %q", k)
		}
	}
}

func FuzzLoadSystem(f *testing.F) {
	seed(f, "testdata/good/system.yaml", "testdata/bad/system-*.yaml", "testdata/bad/any-*.yaml")
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := parseSystem("system.yaml", b)
		check(t, b, err, "version", "system", "title", "environment", "disposable", "runtime", "identity", "probes", "canaries",
			"components", "profiles", "monitoring", "limits")
	})
}

func FuzzLoadDrill(f *testing.F) {
	seed(f, "testdata/good/drill.yaml", "testdata/bad/drill-*.yaml", "testdata/bad/any-*.yaml")
	sys, kinds := goodSystem(f), fakeKinds()
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := parseDrill("drill.yaml", b, kinds, sys, Options{})
		check(t, b, err, "version", "drill", "title", "hypothesis", "component", "environments", "require", "steady-state", "method",
			"recovery", "expect", "stop-conditions")
		_, _ = parseDrill("drill.yaml", b, kinds, nil, Options{Component: "web"})
	})
}

func FuzzLoadCalendar(f *testing.F) {
	seed(f, "testdata/good/calendar.yaml", "testdata/bad/calendar-*.yaml", "testdata/bad/any-*.yaml")
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := parseCalendar("calendar.yaml", b)
		check(t, b, err, "version", "calendar", "system", "runs", "entries", "blackouts")
	})
}

// FuzzUnknownKey puts a key of its own somewhere into good files: it must be found wherever it stands.
func FuzzUnknownKey(f *testing.F) {
	f.Add(uint16(3), "frobnicate")
	f.Add(uint16(40), "zz")
	f.Add(uint16(170), "x-y")
	b, err := os.ReadFile("testdata/good/drill.yaml")
	if err != nil {
		f.Fatal(err)
	}
	sys, kinds := goodSystem(f), fakeKinds()
	f.Fuzz(func(t *testing.T, at uint16, key string) {
		if key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz-") != "" || strings.Contains(string(b), key) || key == "null" || key == "true" {
			t.Skip()
		}
		var n yaml.Node
		if err := yaml.Load(b, &n); err != nil {
			t.Fatal(err)
		}
		maps := typed(n.Content[0], nil)
		m := maps[int(at)%len(maps)]
		m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "x"})
		changed, err := yaml.Marshal(&n)
		if err != nil {
			t.Skip()
		}
		if _, err := parseDrill("drill.yaml", changed, kinds, sys, Options{}); err == nil {
			t.Fatalf("accepted:\n%s", changed)
		}
	})
}

// typed lists the mappings whose keys are fixed: all but the free ones of this file (the values of `require`, where a
// name that no one knows cannot be told from a fact, and an untyped parameter).
func typed(n *yaml.Node, out []*yaml.Node) []*yaml.Node {
	if n.Kind == yaml.MappingNode {
		out = append(out, n)
		for i := 0; i+1 < len(n.Content); i += 2 {
			if k := n.Content[i].Value; k != "require" && k != "extra" {
				out = typed(n.Content[i+1], out)
			}
		}
		return out
	}
	for _, c := range n.Content {
		out = typed(c, out)
	}
	return out
}
