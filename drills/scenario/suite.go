package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// LoadSuite reads a suite: ref is a path, or the name of one in the folder suites beside the system file. Every problem of
// the file is in the error (Errors). Whether its drills exist and are right is found when they are loaded.
func LoadSuite(ref string, sys *drills.System) (*drills.Suite, error) {
	file := ref
	if !isPath(ref) {
		file = filepath.Join(suitesOf(sys), ref+".yaml")
	}
	b, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) && !isPath(ref) {
		return nil, drills.Errorf(drills.Input, didYouMean(ref, SuiteNames(sys))+"; a path ends in .yaml", "there is no suite called %q", ref)
	}
	if err != nil {
		return nil, err
	}
	return parseSuite(file, b)
}

// SuiteNames lists the suites beside the system file.
func SuiteNames(sys *drills.System) []string {
	if sys == nil {
		return nil
	}
	found, err := filepath.Glob(filepath.Join(suitesOf(sys), "*.yaml"))
	if err != nil {
		return nil // only a malformed pattern, and ours is none
	}
	for i, f := range found {
		found[i] = strings.TrimSuffix(filepath.Base(f), ".yaml")
	}
	slices.Sort(found)
	return found
}

func suitesOf(sys *drills.System) string { return filepath.Join(filepath.Dir(sys.File), "suites") }

func parseSuite(file string, b []byte) (*drills.Suite, error) {
	d, err := parse(file, b)
	if err != nil {
		return nil, err
	}
	s := &drills.Suite{}
	d.structure(d.root, "", reflect.ValueOf(s).Elem())
	if d.budget <= 0 {
		return nil, d.err()
	}
	s.File, s.Digest = file, digest(b)
	d.suite(s)
	if err := d.err(); err != nil {
		return nil, err
	}
	return s, nil
}

func (d *document) suite(s *drills.Suite) {
	d.version(s.Version)
	d.requiredName("suite", s.Name, "the suite's name, such as `suite: monthly`")
	d.required("title", s.Title != "", "one line that says what it is for")
	d.translations(s.Translations)
	d.positive("limit", s.Limit)
	if !d.required("drills", len(s.Drills) > 0, "at least one: {drill: NAME}") {
		return
	}
	seen := map[drills.SuiteDrill]bool{}
	for i, x := range s.Drills {
		path := fmt.Sprintf("drills[%d]", i)
		d.required(path+".drill", x.Drill != "", "a drill's name or path")
		if x.Drill != "" && seen[x] {
			d.add(path+".drill", "the suite runs "+x.Drill+" twice", "remove one, or run the suite twice")
		}
		seen[x] = true
	}
}

// translations checks the languages of titles and hypotheses.
func (d *document) translations(ws map[string]drills.Wording) {
	for _, language := range keys(ws) {
		path := join("translations", language)
		d.known(path, "language", language, drills.Languages())
		if w := ws[language]; w == (drills.Wording{}) {
			d.add(path, "nothing is translated here", "title: or hypothesis:")
		}
	}
}
