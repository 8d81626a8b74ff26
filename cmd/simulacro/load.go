package main

import (
	"path/filepath"
	"slices"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/catalog"
	"github.com/eevans-d/simulacro/drills/scenario"
	"github.com/eevans-d/simulacro/experiments"
)

// disposableEnvironments are those in which --project may point a system file at another project.
func disposableEnvironments() []string { return []string{"reference", "test"} }

// loadSystem reads the system file and applies --project and --profile.
func (a *app) loadSystem() (*drills.System, error) {
	sys, err := scenario.LoadSystem(a.systemFile)
	if err != nil {
		return nil, err
	}
	if a.project != "" {
		if !slices.Contains(disposableEnvironments(), sys.Environment) {
			return nil, drills.Errorf(drills.Usage, "edit the system file", "--project may not redirect environment %q", sys.Environment)
		}
		sys.Runtime.Docker.Project = a.project
	}
	if _, ok := sys.Profiles[a.profile]; a.profile != "" && !ok {
		return nil, drills.Errorf(drills.Usage, "see `profiles:` in the system file", "there is no profile %q", a.profile)
	}
	return sys, nil
}

func (a *app) loadDrill(ref, component string, sys *drills.System) (*drills.Drill, error) {
	return scenario.LoadDrill(ref, experiments.All(), sys, scenario.Options{Component: component, Profile: a.profile, Catalog: catalog.Files()})
}

// expander resolves ${env:} and ${file:} beside the system file.
func (a *app) expander(sys *drills.System) func(string) (string, error) {
	return scenario.Expand(filepath.Dir(sys.File), a.lookup)
}
