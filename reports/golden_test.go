package reports

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eevans-d/simulacro/drills"
)

func updating() bool { return flag.Lookup("update").Value.String() == "true" }

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files")
	os.Exit(m.Run())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if updating() {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test ./reports -update writes it anew):\n%s", name, cmp.Diff(string(want), string(got)))
	}
}

func render(t *testing.T, f func(io.Writer, drills.Record) error, r drills.Record) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGolden(t *testing.T) {
	formats := map[string]func(io.Writer, drills.Record) error{"txt": Text, "xml": JUnit, "html": HTML}
	for name, r := range samples() {
		for ext, f := range formats {
			got := render(t, f, r)
			golden(t, name+"."+ext, got)
			if again := render(t, f, r); !bytes.Equal(got, again) {
				t.Errorf("%s.%s: two renderings differ", name, ext)
			}
		}
	}
}

func TestSummaryGolden(t *testing.T) {
	var b bytes.Buffer
	refs := []Ref{{passed(), "runs/a"}, {failed(), "runs/b"}, {blocked(), "runs/c"}, {aborted(), "runs/d"}, {dirty(), "runs/e"}, {invalid(), "runs/f"}}
	if err := Summary(&b, refs); err != nil {
		t.Fatal(err)
	}
	golden(t, "summary.txt", b.Bytes())
}

// TestReportsOfWhatWasRead: a record that was written and read again gives the same reports, so an old run can be rendered anew.
func TestReportsOfWhatWasRead(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, passed()); err != nil {
		t.Fatal(err)
	}
	var back drills.Record
	if err := json.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(io.Writer, drills.Record) error{"JSON": JSON, "text": Text, "JUnit": JUnit, "HTML": HTML} {
		if d := cmp.Diff(string(render(t, f, passed())), string(render(t, f, back))); d != "" {
			t.Errorf("%s differs after reading back:\n%s", name, d)
		}
	}
}

func TestJUnitCounts(t *testing.T) {
	for name, want := range map[string][3]int{ // failures, errors, skipped
		"pass": {0, 0, 0}, "fail": {4, 0, 0}, "aborted": {11, 0, 2}, "blocked": {0, 0, 6}, "dirty": {2, 0, 0}, "invalid": {0, 1, 12}, "inconclusive": {3, 0, 0},
	} {
		var got junitSuites
		raw := render(t, JUnit, samples()[name])
		if err := xml.Unmarshal(raw, &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := [3]int{got.Failures, got.Errors, got.Skipped}; n != want {
			t.Errorf("%s: failures, errors, skipped = %v, want %v", name, n, want)
		}
		if !bytes.HasPrefix(raw, []byte(xml.Header)) || len(got.Suites) != 1 || got.Tests != len(got.Suites[0].Cases) {
			t.Errorf("%s: header or counts are wrong", name)
		}
		for _, c := range got.Suites[0].Cases {
			if !strings.Contains(c.Name, got.Suites[0].Properties[0].Value) {
				t.Errorf("%s: case %q does not carry the run's id", name, c.Name)
			}
			if c.Failure != nil && c.Failure.Body != c.Failure.Message {
				t.Errorf("%s: case %q does not repeat its message", name, c.Name)
			}
		}
	}
}

// TestForeignTextIsEscaped: the invalid sample carries markup and control characters in every free text.
func TestForeignTextIsEscaped(t *testing.T) {
	r := invalid()
	html := string(render(t, HTML, r))
	for _, bad := range []string{"<script>alert", "<img src=x", "\x1b", "\x00"} {
		if strings.Contains(html, bad) {
			t.Errorf("HTML holds %q", bad)
		}
	}
	for name, f := range map[string]func(io.Writer, drills.Record) error{"text": Text, "JUnit": JUnit} {
		if out := render(t, f, r); bytes.ContainsAny(out, "\x1b\x00") {
			t.Errorf("%s holds control characters", name)
		}
	}
}
