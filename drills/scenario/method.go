package scenario

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

var pickPattern = regexp.MustCompile(`^(one|all|[1-9][0-9]*|[1-9][0-9]?%|100%)$`)

func itoa(i int) string { return strconv.Itoa(i) }

// method turns the steps of the file into steps with their faults made.
func (r *drillReader) method(steps []stepFile) {
	if !r.required("method", len(steps) > 0, "at least one step: {fault: KIND, target: {component: NAME}}") {
		return
	}
	seen := map[string]bool{}
	for i, f := range steps {
		path := fmt.Sprintf("method[%d]", i)
		s := drills.Step{ID: f.ID, At: f.At, Fault: f.Fault, Target: f.Target, Duration: f.Duration, Seed: f.Seed, Below: f.Below}
		if s.ID == "" {
			s.ID = fmt.Sprintf("step-%d", i+1)
		}
		r.name(path+".id", s.ID)
		if seen[s.ID] {
			r.add(path+".id", "the id "+s.ID+" is there twice", "ids are how reports name steps")
		}
		seen[s.ID] = true
		if !r.has(path + ".target") {
			r.required(path+".target", false, "{component: NAME, role: primary}")
		}
		if r.required(path+".fault", s.Fault != "", didYouMean("", keys(r.kinds))) {
			r.fault(path, f, &s)
		}
		r.timely(path, s)
		r.drill.Method = append(r.drill.Method, s)
	}
}

// fault makes the step's fault from its parameters.
func (r *drillReader) fault(path string, f stepFile, s *drills.Step) {
	kind, ok := r.kinds[s.Fault]
	if !ok {
		r.known(path+".fault", "fault", s.Fault, keys(r.kinds))
		return
	}
	r.duration(path, kind.Info, s.Duration)
	before := len(r.problems)
	var params any
	decoded := false
	plan, err := kind.New(func(into any) error {
		decoded, params = true, into
		return r.parameters(path+".with", f, into)
	})
	if f.With != nil && !decoded && len(r.problems) == before {
		r.add(path+".with", "fault "+s.Fault+" takes no parameters", "remove with")
	}
	if err != nil && len(r.problems) == before {
		r.refused(path+".with", s.Fault, params, err)
	}
	s.Plan, s.With = plan, plain(reflect.ValueOf(params))
	if err == nil && len(r.problems) == before {
		r.trial(path, s)
	}
}

// trial plans the step against a made-up member: what the fault calls bad input then (a duration that its mode needs,
// for one) is wrong in the file whatever the system looks like. All else is for `ready` to find.
func (r *drillReader) trial(path string, s *drills.Step) {
	if r.sys == nil || s.Plan == nil {
		return
	}
	m := drills.Member{
		ID: "trial", Name: "trial", Service: "trial", Component: s.Target.Component, Role: s.Target.Role,
		State: "running", Healthy: true, Networks: map[string]string{"trial": "192.0.2.1"},
	}
	_, err := s.Plan.Plan(drills.Scene{Step: s.ID, Targets: []drills.Member{m}, Duration: s.Duration, Run: "trial", System: r.sys})
	if drills.CodeOf(err) == drills.Input {
		r.complain(path, err)
	}
}

// parameters decodes a step's `with:` into a fault's own type; what is wrong is noted where it stands.
func (r *drillReader) parameters(path string, f stepFile, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("parameters of fault %s: want a pointer to decode into, have %T", f.Fault, into)
	}
	if f.With == nil {
		return nil
	}
	before := len(r.problems)
	r.decode(f.With, path, v.Elem())
	r.checkLogins()
	if len(r.problems) > before {
		return slices.Clone(r.problems[before:])
	}
	return nil
}

// refused notes why a fault does not take its parameters: every reason of a joined error. A message that begins with
// the fault's kind and a parameter ("kill: as: …") is noted at that parameter.
func (r *drillReader) refused(path, kind string, params any, err error) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			r.refused(path, kind, params, e)
		}
		return
	}
	message, hint := sentence(err)
	message = strings.TrimPrefix(message, kind+": ")
	for {
		word, rest, found := strings.Cut(message, ": ")
		if !found || !r.has(join(path, word)) && !hasField(params, word) {
			break
		}
		path, message, params = join(path, word), rest, nil
	}
	r.add(path, message, hint)
}

func hasField(params any, name string) bool {
	v := reflect.Indirect(reflect.ValueOf(params))
	if v.Kind() != reflect.Struct {
		return false
	}
	fields, names := map[string]reflect.Value{}, []string{}
	fieldsOf(v, fields, &names)
	return slices.Contains(names, name)
}

// complain notes an error made elsewhere, with its hint where it has one.
func (d *document) complain(path string, err error) {
	message, hint := sentence(err)
	d.add(path, message, hint)
}

func sentence(err error) (message, hint string) {
	var e *drills.Error
	if errors.As(err, &e) && e.Err == nil {
		return e.Message, e.Hint
	}
	return err.Error(), ""
}

// duration checks the step's duration against what its kind of fault says about durations.
func (r *drillReader) duration(path string, info drills.Info, v drills.Duration) {
	path += ".duration"
	switch {
	case r.has(path) && info.Duration == "none":
		r.add(path, "fault "+info.Kind+" has no duration", "remove it")
	case r.has(path):
		r.positive(path, v)
	case info.Duration == "required":
		r.required(path, false, "how long fault "+info.Kind+" stays in force, such as 30s")
	}
}

// timely refuses steps that a time limit of the drill itself would always cut off.
func (r *drillReader) timely(path string, s drills.Step) {
	for _, c := range r.drill.StopConditions {
		switch {
		case c.Time == 0:
		case s.At >= c.Time:
			r.add(path+".at", fmt.Sprintf("the stop condition time: %s always comes before this step", short(c.Time)), "an earlier step or a later limit")
		case s.At+s.Duration > c.Time:
			r.add(path+".duration", fmt.Sprintf("the stop condition time: %s always comes before this fault ends", short(c.Time)), "a shorter fault or a later limit")
		}
	}
}

// plain turns decoded parameters into maps, lists, text and numbers under the names they have in files, so that a
// drill reads the same after a trip through the journal. Zero values are left out.
func plain(v reflect.Value) any {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if !v.IsValid() {
		return nil
	}
	if t, ok := v.Interface().(interface{ MarshalText() ([]byte, error) }); ok {
		b, _ := t.MarshalText() // our own types; those that fail show as empty
		return string(b)
	}
	switch v.Kind() {
	case reflect.Struct:
		return plainStruct(v)
	case reflect.Map:
		m := map[string]any{}
		for k, e := range v.Seq2() {
			m[fmt.Sprint(k.Interface())] = plain(e)
		}
		return m
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		return list
	}
	return v.Interface()
}

func plainStruct(v reflect.Value) any {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	fields, names := map[string]reflect.Value{}, []string{}
	fieldsOf(c, fields, &names)
	m := map[string]any{}
	for _, name := range names {
		if !fields[name].IsZero() {
			m[strings.TrimSpace(name)] = plain(fields[name])
		}
	}
	if len(m) == 0 {
		return nil
	}
	return m
}
