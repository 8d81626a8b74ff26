package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/drills/catalog"
	"github.com/eevans-d/simulacro/drills/scenario"
	"github.com/eevans-d/simulacro/experiments"
)

const gad = "../../compose/grupogad"

func shippedSystem(t *testing.T, file string) *drills.System {
	t.Helper()
	s, err := scenario.LoadSystem(file)
	if err != nil {
		t.Fatalf("%s:\n%v", file, err)
	}
	return s
}

func TestReferenceSystemAndItsDrills(t *testing.T) {
	s := shippedSystem(t, gad+"/system.yaml")
	for _, c := range []string{"api", "websocket", "postgis", "redis", "proxy"} {
		if s.Components[c].Objectives.Source.Clause != "Tabla 10" {
			t.Errorf("%s: the objectives do not name Tabla 10", c)
		}
	}
	found, err := filepath.Glob(gad + "/drills/*.yaml")
	if err != nil || len(found) < 7 {
		t.Fatalf("drills: %v %v", found, err)
	}
	for _, file := range found {
		for _, profile := range []string{"", "ci"} {
			d, err := scenario.LoadDrill(file, experiments.All(), s, scenario.Options{Profile: profile})
			if err != nil {
				t.Errorf("profile %q:\n%v", profile, err)
				continue
			}
			if want := strings.TrimSuffix(filepath.Base(file), ".yaml"); d.Name != want {
				t.Errorf("%s: the drill is called %s", file, d.Name)
			}
			if len(d.StopConditions) == 0 {
				t.Errorf("%s: no stop conditions", file)
			}
		}
	}
}

// TestAlertsOfDrillsExist: an alert that no rule makes would never fire, and one that is misspelt would never be allowed.
func TestAlertsOfDrillsExist(t *testing.T) {
	rules, err := os.ReadFile(gad + "/rules/catalogue.go")
	if err != nil {
		t.Fatal(err)
	}
	s := shippedSystem(t, gad+"/system.yaml")
	for _, name := range scenario.Names(s, nil) {
		d, err := scenario.LoadDrill(name, experiments.All(), s, scenario.Options{})
		if err != nil || d.Expect.Alerts == nil {
			t.Errorf("%s: expects nothing of alerts: %v", name, err)
			continue
		}
		alerts := slices.Clone(d.Expect.Alerts.Allow)
		for _, a := range d.Expect.Alerts.Fire {
			alerts = append(alerts, a.Name)
		}
		for _, a := range alerts {
			if !regexp.MustCompile(`Name:\s+"` + a + `",`).Match(rules) {
				t.Errorf("%s: no rule makes the alert %s", name, a)
			}
		}
	}
}

func TestReferenceCalendar(t *testing.T) {
	c, err := scenario.LoadCalendar(gad + "/calendar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := shippedSystem(t, filepath.Join(filepath.Dir(c.File), c.System))
	for _, e := range c.Entries {
		_, err := scenario.LoadDrill(e.Drill, experiments.All(), s, scenario.Options{Component: e.Component, Profile: e.Profile, Catalog: catalog.Files()})
		if err != nil {
			t.Errorf("%s:\n%v", e.Name, err)
		}
	}
}

func TestCatalogueFitsEveryComponent(t *testing.T) {
	for _, file := range []string{gad + "/system.yaml", "../../examples/two-nginx/system.yaml"} {
		s := shippedSystem(t, file)
		for _, name := range catalog.Names() {
			for component, c := range s.Components {
				opt := scenario.Options{Component: component, Catalog: catalog.Files()}
				d, err := scenario.LoadDrill(name, experiments.All(), s, opt)
				if err != nil {
					t.Errorf("%s on %s of %s:\n%v", name, component, s.Name, err)
					continue
				}
				if d.Component != component || d.Method[0].Target.Component != component || d.Require[0].Component != component {
					t.Errorf("%s on %s: not everywhere: %+v", name, component, d)
				}
				if !slices.Equal(d.Recovery.Probes, c.RecoveredMeans) || d.SteadyState.Probes[c.RecoveredMeans[0]] != 0.99 {
					t.Errorf("%s on %s: judged by %v, steady by %v", name, component, d.Recovery.Probes, d.SteadyState.Probes)
				}
				if d.File != "catalog/"+name+".yaml" || len(d.Digest) != 64 {
					t.Errorf("file %q digest %q", d.File, d.Digest)
				}
			}
		}
	}
}

func TestNoSecretInShippedSystems(t *testing.T) {
	b, err := os.ReadFile(gad + "/system.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), "${file:.state/gad/secrets/"); n < 4 {
		t.Errorf("%d references to secret files, want at least 4", n)
	}
}

// TestSuitesOfTheReferenceSystem: every suite can be read, and so can every drill that it names, for its component.
func TestSuitesOfTheReferenceSystem(t *testing.T) {
	s := shippedSystem(t, gad+"/system.yaml")
	names := scenario.SuiteNames(s)
	for _, want := range []string{"ci-smoke", "monthly", "quarterly"} {
		if !slices.Contains(names, want) {
			t.Errorf("no suite %s", want)
		}
	}
	for _, name := range names {
		suite, err := scenario.LoadSuite(name, s)
		if err != nil {
			t.Error(err)
			continue
		}
		if suite.Name != name || suite.Limit == 0 || suite.TitleIn("es") == suite.Title {
			t.Errorf("%s: called %s, limit %s, in Spanish %q", name, suite.Name, suite.Limit.D(), suite.TitleIn("es"))
		}
		for _, x := range suite.Drills {
			if _, err := scenario.LoadDrill(x.Drill, experiments.All(), s, scenario.Options{Component: x.Component, Catalog: catalog.Files()}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestShippedDrillsSpeakSpanish: every title and hypothesis has its translation.
func TestShippedDrillsSpeakSpanish(t *testing.T) {
	s := shippedSystem(t, gad+"/system.yaml")
	for _, name := range scenario.Names(s, catalog.Files()) {
		component := ""
		if slices.Contains(catalog.Names(), name) {
			component = "redis"
		}
		d, err := scenario.LoadDrill(name, experiments.All(), s, scenario.Options{Component: component, Catalog: catalog.Files()})
		if err != nil {
			t.Error(err)
			continue
		}
		if w := d.Translations["es"]; w.Title == "" || w.Hypothesis == "" {
			t.Errorf("%s: title or hypothesis is not in Spanish", name)
		}
	}
}
