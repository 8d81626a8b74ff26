package scenario

import (
	"io/fs"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/eevans-d/simulacro/drills"
)

// placeholder stands for the component in a generic drill.
const placeholder = "${component}"

// Options of LoadDrill.
type Options struct {
	Component string // for generic drills, which say component: "${component}" or nothing
	Profile   string // the objectives that count for `objective-truncated`; "" is the system file's own
	Catalog   fs.FS  // where ready drills are found by name (NAME.yaml); may be nil
}

// LoadDrill reads a drill: ref is a path, or the name of a drill beside the system file or in the catalogue (see
// Resolve). kinds are the faults there are. With a system, names of components, probes, canaries and roles are checked
// against it and defaults that need it are filled in. Every problem of the file is in the error (Errors).
func LoadDrill(ref string, kinds drills.Kinds, sys *drills.System, opt Options) (*drills.Drill, error) {
	file, b, err := Resolve(ref, sys, opt.Catalog)
	if err != nil {
		return nil, err
	}
	return parseDrill(file, b, kinds, sys, opt)
}

// drillFile is a drill as it stands in the file: steps still hold their parameters as YAML.
type drillFile struct {
	Version        int                       `yaml:"version"`
	Name           string                    `yaml:"drill"`
	Title          string                    `yaml:"title"`
	Hypothesis     string                    `yaml:"hypothesis"`
	Translations   map[string]drills.Wording `yaml:"translations"`
	Component      string                    `yaml:"component"`
	Environments   []string                  `yaml:"environments"`
	Require        []drills.Requirement      `yaml:"require"`
	SteadyState    drills.SteadyState        `yaml:"steady-state"`
	Method         []stepFile                `yaml:"method"`
	Recovery       drills.Recovery           `yaml:"recovery"`
	Expect         drills.Expect             `yaml:"expect"`
	StopConditions []drills.StopCondition    `yaml:"stop-conditions"`
}

type stepFile struct {
	ID       string          `yaml:"id"`
	At       drills.Duration `yaml:"at"`
	Fault    string          `yaml:"fault"`
	Target   drills.Target   `yaml:"target"`
	Duration drills.Duration `yaml:"duration"`
	With     *yaml.Node      `yaml:"with"`
	Seed     int64           `yaml:"seed"`
	Below    bool            `yaml:"below-keep-healthy"`
}

// drillReader checks one drill against the faults there are and, when it has one, a system.
type drillReader struct {
	*document
	kinds drills.Kinds
	sys   *drills.System
	opt   Options
	drill *drills.Drill
}

func parseDrill(file string, b []byte, kinds drills.Kinds, sys *drills.System, opt Options) (*drills.Drill, error) {
	d, err := parse(file, b)
	if err != nil {
		return nil, err
	}
	generic(d.root, opt.Component)
	var f drillFile
	d.structure(d.root, "", reflect.ValueOf(&f).Elem())
	if d.budget <= 0 {
		return nil, d.err()
	}
	r := &drillReader{document: d, kinds: kinds, sys: sys, opt: opt, drill: &drills.Drill{
		Version: f.Version, Name: f.Name, Title: f.Title, Hypothesis: f.Hypothesis, Translations: f.Translations, Component: f.Component,
		Environments: f.Environments, Require: f.Require, SteadyState: f.SteadyState, Recovery: f.Recovery,
		Expect: f.Expect, StopConditions: f.StopConditions, File: file, Digest: digest(b),
	}}
	r.head()
	r.method(f.Method)
	r.requirements()
	r.steadyState()
	r.recovery()
	r.expect()
	r.stopConditions()
	r.placedTargets()
	r.references(d.root, "", placeholder) // an unresolved one is the component's problem
	if err := d.err(); err != nil {
		return nil, err
	}
	return r.drill, nil
}

// generic puts the chosen component wherever a generic drill says ${component}.
func generic(n *yaml.Node, component string) {
	for _, c := range n.Content {
		generic(c, component)
	}
	if n.Kind == yaml.ScalarNode && component != "" {
		n.Value = strings.ReplaceAll(n.Value, placeholder, component)
	}
}

func (r *drillReader) head() {
	x := r.drill
	r.version(x.Version)
	r.requiredName("drill", x.Name, "the drill's name, such as `drill: redis-primary-kill`")
	r.required("title", x.Title != "", "one line that says what happens")
	r.required("hypothesis", x.Hypothesis != "", "what you believe will follow")
	r.translations(x.Translations)
	if r.required("environments", len(x.Environments) > 0, oneOf(environments())) {
		r.names("environments", "environment", x.Environments, environments())
	}
	r.component()
}

func (r *drillReader) component() {
	x := r.drill
	if x.Component == "" && r.opt.Component != "" && !r.spoilt["component"] {
		x.Component = r.opt.Component
	}
	switch {
	case strings.Contains(x.Component, placeholder) || x.Component == "" && r.has("component"):
		r.add("component", "this drill fits any component, and none was chosen", "add --component NAME"+r.declared())
	case !r.required("component", x.Component != "", "name the component under test, or choose one with --component"):
	case r.opt.Component != "" && x.Component != r.opt.Component:
		r.add("component", "this drill is about "+x.Component+", not "+r.opt.Component, "--component is for generic drills")
	default:
		r.name("component", x.Component)
		r.knownComponent("component", x.Component)
	}
}

func (r *drillReader) declared() string {
	if r.sys == nil {
		return ""
	}
	return ", " + oneOf(keys(r.sys.Components))
}

// knownComponent checks a component's name against the system, when there is one.
func (r *drillReader) knownComponent(path, name string) bool {
	if r.sys == nil || name == "" || strings.Contains(name, placeholder) {
		return false
	}
	r.known(path, "component", name, keys(r.sys.Components))
	_, ok := r.sys.Components[name]
	return ok
}

// knownProbe checks the name of one series of a probe.
func (r *drillReader) knownProbe(path, name string) {
	if r.sys != nil {
		r.oneProbe(path, name, r.sys)
	}
}

// knownProbes checks a name that stands for all series of a probe, and returns them.
func (r *drillReader) knownProbes(path, name string) []string {
	if r.sys == nil {
		return []string{name}
	}
	all := r.sys.Series(name)
	if len(all) == 1 {
		r.known(path, "probe", name, keys(r.sys.Probes))
	}
	return all
}

// placedTargets checks every target of the drill, those among the parameters of faults too.
func (r *drillReader) placedTargets() {
	for _, p := range r.targets {
		t := p.target
		r.required(p.path+".component", t.Component != "", "a target names its component")
		for _, g := range t.Names {
			r.glob(p.path+".names", g)
		}
		if t.Pick != "" && !pickPattern.MatchString(t.Pick) {
			r.add(p.path+".pick", "this is not a selection", `one, all, a count such as "2" or a percentage such as "50%"`)
		}
		if r.knownComponent(p.path+".component", t.Component) {
			r.role(p.path+".role", t.Component, t.Role)
		} else if t.Role != "" {
			r.known(p.path+".role", "role", t.Role, roles())
		}
	}
}

func roles() []string { return []string{"primary", "replica"} }

// role checks that somebody knows the role: only components with a role source have roles.
func (r *drillReader) role(path, component, role string) {
	if role == "" {
		return
	}
	if r.sys.Components[component].Roles == nil {
		r.add(path, "nobody knows the roles of "+component, "declare its `roles:` in the system file, or select by names")
		return
	}
	r.known(path, "role", role, roles())
}

func (r *drillReader) steadyState() {
	s := &r.drill.SteadyState
	fill(&s.For, 10*time.Second)
	r.between("steady-state.for", s.For, time.Second, time.Hour)
	given := s.Probes
	if len(given) > 0 {
		s.Probes = map[string]drills.Share{}
	}
	for name, share := range given {
		for _, series := range r.knownProbes(join("steady-state.probes", name), name) {
			s.Probes[series] = max(s.Probes[series], share)
		}
	}
	r.known("steady-state.slos", "value", s.SLOs, []string{"met"})
	if len(s.Probes) > 0 || r.sys == nil {
		return
	}
	s.Probes = map[string]drills.Share{}
	for _, name := range r.sys.Components[r.drill.Component].RecoveredMeans {
		s.Probes[name] = 0.99
	}
}

func (r *drillReader) recovery() {
	x := &r.drill.Recovery
	if x.While == "" {
		x.While = drills.FaultActive
	}
	r.while("recovery.while", x.While)
	fill(&x.For, 10*time.Second)
	r.between("recovery.for", x.For, time.Second, time.Hour)
	if x.Limit != 0 && x.Limit < x.For {
		r.add("recovery.limit", "nothing can have recovered for "+short(x.For)+" by then", "longer than recovery.for")
	}
	r.positive("recovery.limit", x.Limit)
	if len(x.Probes) == 0 && r.sys != nil {
		c, ok := r.sys.Components[r.drill.Component]
		x.Probes = c.RecoveredMeans
		if ok && len(x.Probes) == 0 {
			r.add("recovery.probes", "nothing says when "+c.Name+" has recovered", "declare its recovered-means in the system file, or name probes here")
		}
	}
	if !r.has("recovery.probes") {
		return
	}
	var all []string
	for i, name := range x.Probes {
		all = append(all, r.knownProbes("recovery.probes["+itoa(i)+"]", name)...)
	}
	x.Probes = all
}

func (d *document) while(path string, w drills.While) {
	d.known(path, "while", string(w), []string{string(drills.FaultActive), string(drills.FaultLifted), string(drills.AnyTime)})
}
