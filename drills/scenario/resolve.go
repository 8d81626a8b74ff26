package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// Resolve finds a drill and reads it. A ref with a path separator or ending in .yaml or .yml is a path. Anything else
// is a name: NAME.yaml in the folder drills beside the system file, else in the catalogue. The name of the file that is
// returned is for messages and records; drills of the catalogue are called catalog/NAME.yaml.
func Resolve(ref string, sys *drills.System, catalog fs.FS) (file string, content []byte, err error) {
	if isPath(ref) {
		b, err := readFile(ref)
		return ref, b, err
	}
	if p := beside(ref, sys); p != "" {
		b, err := readFile(p)
		if !errors.Is(err, fs.ErrNotExist) {
			return p, b, err
		}
	}
	if catalog != nil {
		b, err := fs.ReadFile(catalog, ref+".yaml")
		if err == nil {
			return "catalog/" + ref + ".yaml", b, nil
		}
	}
	names := Names(sys, catalog)
	return "", nil, drills.Errorf(drills.Input, didYouMean(ref, names)+"; a path ends in .yaml", "there is no drill called %q", ref)
}

// Names lists the drills that Resolve finds by name: those beside the system file and those of the catalogue.
func Names(sys *drills.System, catalog fs.FS) []string {
	var out []string
	if sys != nil {
		found, err := filepath.Glob(filepath.Join(filepath.Dir(sys.File), "drills", "*.yaml"))
		if err == nil {
			out = append(out, found...)
		}
	}
	if catalog != nil {
		found, err := fs.Glob(catalog, "*.yaml")
		if err == nil {
			out = append(out, found...)
		}
	}
	for i, f := range out {
		out[i] = strings.TrimSuffix(filepath.Base(f), ".yaml")
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func isPath(ref string) bool {
	return strings.ContainsRune(ref, os.PathSeparator) || strings.HasSuffix(ref, ".yaml") || strings.HasSuffix(ref, ".yml")
}

func beside(name string, sys *drills.System) string {
	if sys == nil || sys.File == "" {
		return ""
	}
	return filepath.Join(filepath.Dir(sys.File), "drills", fmt.Sprintf("%s.yaml", name))
}
