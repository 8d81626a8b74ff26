package scenario

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

var update = flag.Bool("update", false, "write the expected texts of testdata/bad anew")

// load reads a file of testdata by the kind that its name begins with. Drills see the good system.
func load(t testing.TB, file string) error {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(file)
	switch kind, _, _ := strings.Cut(name, "-"); kind {
	case "drill":
		_, err = parseDrill(name, b, fakeKinds(), goodSystem(t), Options{})
	case "calendar":
		_, err = parseCalendar(name, b)
	case "suite":
		_, err = parseSuite(name, b)
	default:
		_, err = parseSystem(name, b)
	}
	return err
}

func goodSystem(t testing.TB) *drills.System {
	t.Helper()
	s, err := LoadSystem("testdata/good/system.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBadFiles: every rule has a file that breaks it, and the text that a person then reads.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 90 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	position := regexp.MustCompile(`^[a-z-]+\.yaml:[1-9][0-9]*:[1-9][0-9]*: `)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			err := load(t, file)
			var problems Errors
			if !errors.As(err, &problems) || drills.CodeOf(err) != drills.Input {
				t.Fatalf("want problems of code input, got %v", err)
			}
			got := err.Error() + "\n"
			for line := range strings.Lines(got) {
				if !position.MatchString(line) && !strings.HasPrefix(filepath.Base(file), "any-") {
					t.Errorf("no position: %s", line)
				}
			}
			if strings.Contains(got, "hunter2") {
				t.Error("a secret is in the message")
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestErrorsAsJSON(t *testing.T) {
	var problems Errors
	if !errors.As(load(t, "testdata/bad/system-environment-unknown.yaml"), &problems) {
		t.Fatal("no problems")
	}
	b, err := json.Marshal(problems)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"file":"system-environment-unknown.yaml","line":4,"column":1,"path":"environment",` +
		`"message":"environment \"stagging\" is not known","hint":"did you mean staging?"}]`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}
