// Package catalog holds ready drills that fit any system: generic ones that take --component and are judged by that
// component's recovered-means.
package catalog

import (
	"embed"
	"io/fs"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

//go:embed *.yaml
var files embed.FS

// Files is the catalogue as a file system: NAME.yaml for every drill. scenario.Options takes it.
func Files() fs.FS { return files }

// Names lists the drills in alphabetical order.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil // cannot be: the directory is part of the program
	}
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return out
}

// Read returns a drill's YAML by its name.
func Read(name string) ([]byte, error) {
	b, err := files.ReadFile(name + ".yaml")
	if err != nil {
		return nil, drills.Errorf(drills.Input, "one of "+strings.Join(Names(), ", "), "the catalogue has no drill %q", name)
	}
	return b, nil
}
