package drills_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

var update = flag.Bool("update", false, "rewrite what is made from the code")

const module = "github.com/eevans-d/simulacro/"

// TestPhasePicture: ARCHITECTURE.md's picture is made from the table that the engine obeys.
func TestPhasePicture(t *testing.T) {
	var b strings.Builder
	b.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> planned\n")
	for _, p := range drills.Phases() {
		for _, q := range p.Next() {
			b.WriteString("    " + string(p) + " --> " + string(q) + "\n")
		}
	}
	b.WriteString("    closed --> [*]\n```\n")
	const file, begin, end = "../ARCHITECTURE.md", "<!-- phases:begin -->\n", "<!-- phases:end -->"
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(raw), begin)
	old, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the marks of the picture are missing")
	}
	if old == b.String() {
		return
	}
	if !*update {
		t.Fatal("the picture is not what the table says: go test ./drills -run TestPhasePicture -update")
	}
	if err := os.WriteFile(file, []byte(head+begin+b.String()+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEveryPhaseCanRestore(t *testing.T) {
	for _, p := range drills.Phases() {
		last := p == drills.Restoring || p == drills.Verifying || p == drills.Closed
		if slices.Contains(p.Next(), drills.Restoring) == last {
			t.Errorf("%s -> %v", p, p.Next())
		}
	}
}

// adapters may import the domain, and never each other. A package of the same adapter (its sub-packages) does not count.
func adapters() []string {
	return []string{"experiments", "verifier", "reports", "compose", "drills/scenario", "drills/journal", "drills/calendar", "drills/catalog"}
}

func TestDependenciesPointOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}}: {{join .Imports \" \"}}", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		from, list, _ := strings.Cut(strings.TrimSpace(line), ": ")
		from = strings.TrimPrefix(from, module)
		for _, to := range strings.Fields(list) {
			checkImport(t, from, to)
		}
	}
}

func checkImport(t *testing.T, from, to string) {
	if from == "drills" && (strings.Contains(strings.SplitN(to, "/", 2)[0], ".") || strings.HasPrefix(to, module)) {
		t.Errorf("package drills imports %s: standard library only", to)
	}
	if strings.HasPrefix(to, "github.com/docker/docker") && from != "compose" {
		t.Errorf("%s imports the Docker client: only compose may", from)
	}
	inner, ours := strings.CutPrefix(to, module)
	if !ours || strings.HasPrefix(from, "cmd/") || strings.HasPrefix(from, "compose/grupogad") {
		return
	}
	a, b := adapterOf(from), adapterOf(inner)
	if a != "" && b != "" && a != b {
		t.Errorf("adapter %s imports adapter %s", from, inner)
	}
	if strings.HasPrefix(inner, "compose/grupogad") {
		t.Errorf("%s imports the reference system", from)
	}
	if inner == "drills/drilltest" {
		t.Errorf("%s imports the test helpers in a product binary", from)
	}
}

func adapterOf(pkg string) string {
	for _, a := range adapters() {
		if pkg == a || strings.HasPrefix(pkg, a+"/") {
			return a
		}
	}
	return ""
}

// TestNothingKnowsGrupoGad: the tool must fit any system; only the reference system's folder, documents and tests may name it.
func TestNothingKnowsGrupoGad(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		rel := strings.TrimPrefix(path, "../")
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(rel, ".") && rel != ".." || rel == "compose/grupogad" || rel == "runs" || rel == "bin" || rel == "docs"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, word := range []string{"grupogad", "grupo_gad", "ggrt_"} {
			if strings.Contains(strings.ToLower(string(raw)), word) {
				t.Errorf("%s names %s", rel, word)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
