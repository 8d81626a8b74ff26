package experiments

import (
	"hash/fnv"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/eevans-d/simulacro/drills"
)

// What load faults have in common.

const (
	// maxOperations a second of one step: one generator's, with room above what it was measured with.
	maxOperations = 100_000
	// maxKept connections of one step stays below the files that a process may usually open.
	maxKept = 15_000
)

// loadOpenArgs are the arguments of load.open.
type loadOpenArgs struct {
	Network string            `json:"network,omitempty"`
	Run     string            `json:"run"`
	Seed    uint64            `json:"seed"`
	Ramp    drills.Duration   `json:"ramp"`
	Flows   []drills.LoadFlow `json:"flows"` // secrets stay references until the generator gets them
}

// openLoad is one change: one generator runs all flows.
func openLoad(s drills.Scene, network string, ramp drills.Duration, note string, flows ...drills.LoadFlow) (drills.Change, error) {
	rate := 0.0
	for _, f := range flows {
		rate += f.Rate
	}
	if err := loadAllowed(s, rate); err != nil {
		return drills.Change{}, err
	}
	if s.Duration <= ramp {
		return drills.Change{}, drills.Errorf(drills.Input, "make the step's `duration` longer or its ramp shorter", "the step lasts %s and its ramp %s: nothing would be measured", s.Duration, ramp)
	}
	args := loadOpenArgs{Network: network, Run: s.Run, Seed: seedOf(s.Run, s.Step), Ramp: ramp, Flows: flows}
	return change(s, s.Targets[0], plan{class: drills.ClassUndo, do: "load.open", undo: "load.stop", note: note}, args, nil)
}

// seedOf makes what operations draw another in every run and the same for whoever repeats one.
func seedOf(run, step string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(run + " " + step)) // never fails
	return h.Sum64()
}

// loadAllowed refuses load where the system does not allow so much: in production only what its file gives a rate for.
func loadAllowed(s drills.Scene, rate float64) error {
	if s.System == nil {
		return nil
	}
	most := s.System.Limits.LoadRate
	switch {
	case most > 0 && rate > most:
		return drills.Errorf(drills.Blocked, "lower the step's rate", "the step makes %g operations a second, and the system allows %g (limits.load-rate)", rate, most)
	case most == 0 && s.System.Environment == "production":
		return drills.Errorf(drills.Blocked, "set `limits: {load-rate: …}` in the system file", "load is off in production unless the system file gives a rate")
	}
	return nil
}

// sharedNetwork is the one asked for, else the only one that the targets share; every target must have an address in it.
func sharedNetwork(asked string, targets []drills.Member) (string, error) {
	var shared []string
	for _, name := range slices.Sorted(maps.Keys(targets[0].Networks)) {
		if !slices.ContainsFunc(targets, func(m drills.Member) bool { return m.Networks[name] == "" }) {
			shared = append(shared, name)
		}
	}
	switch {
	case asked != "" && slices.Contains(shared, asked):
		return asked, nil
	case asked != "":
		return "", drills.Errorf(drills.Blocked, "", "not every target is in network %q; they share %v", asked, shared)
	case len(shared) == 1:
		return shared[0], nil
	}
	return "", drills.Errorf(drills.Input, "set `network:` in the step's `with:`", "the targets share %d networks (%v), so the load's network must be named", len(shared), shared)
}

// loadAddress is where a running member takes load: the port asked for, else its component's data port.
func loadAddress(s drills.Scene, m drills.Member, network string, port int) (string, error) {
	if err := running(m); err != nil {
		return "", err
	}
	if port == 0 && s.System != nil {
		if r := s.System.Components[m.Component].Roles; r != nil {
			port = r.Port
		}
	}
	if port == 0 {
		return "", drills.Errorf(drills.Input, "set `port:` in the step's `with:`", "the port of %s is not known", m.Name)
	}
	return net.JoinHostPort(m.Networks[network], strconv.Itoa(port)), nil
}

// loadBase are the addresses that HTTP load goes to: the one given (a proxy, for example), else the targets' own.
func loadBase(s drills.Scene, url, network string, port int) ([]string, error) {
	if url != "" {
		return []string{strings.TrimSuffix(url, "/")}, nil
	}
	var out []string
	for _, m := range s.Targets {
		addr, err := loadAddress(s, m, network, port)
		if err != nil {
			return nil, err
		}
		out = append(out, "http://"+addr)
	}
	return out, nil
}

// complaint makes the errors of one fault.
type complaint string

func (kind complaint) bad(format string, args ...any) error {
	return drills.Errorf(drills.Input, "", string(kind)+": "+format, args...)
}

// flow checks what every open-model load has.
func (kind complaint) flow(rate float64, connections int, timeout, ramp drills.Duration) error {
	switch {
	case !(rate > 0) || rate > maxOperations || math.IsNaN(rate):
		return kind.bad("rate: must be above 0 and at most %d operations a second, found %g", maxOperations, rate)
	case connections < 1 || connections > maxKept:
		return kind.bad("connections: must be between 1 and %d, found %d", maxKept, connections)
	case timeout <= 0:
		return kind.bad("timeout: must be above zero, found %s", timeout)
	case ramp < 0:
		return kind.bad("ramp: %s is negative", ramp)
	}
	return nil
}

func (kind complaint) login(l *drills.Login) error {
	if l != nil && (l.URL == "" || l.Username == "" || l.Password == "") {
		return kind.bad("login: needs url, username and password")
	}
	return nil
}

func (kind complaint) operations(ops []drills.HTTPOp) error {
	if len(ops) == 0 {
		return kind.bad("operations: at least one is needed, such as {name: read, path: /items/1}")
	}
	seen := map[string]bool{}
	for _, op := range ops {
		switch {
		case op.Name == "" || seen[op.Name]:
			return kind.bad("operations: each needs a name of its own, found %q", op.Name)
		case !strings.HasPrefix(op.Path, "/"):
			return kind.bad("operations: %s: path: must begin with a slash, found %q", op.Name, op.Path)
		case op.Weight < 0:
			return kind.bad("operations: %s: weight: %g is negative", op.Name, op.Weight)
		}
		seen[op.Name] = true
	}
	return nil
}

func (kind complaint) statements(all []drills.Statement) error {
	if len(all) == 0 {
		return kind.bad("statements: at least one is needed, such as {name: count, sql: select count(*) from items}")
	}
	seen := map[string]bool{}
	for _, st := range all {
		switch {
		case st.Name == "" || seen[st.Name]:
			return kind.bad("statements: each needs a name of its own, found %q", st.Name)
		case strings.TrimSpace(st.SQL) == "":
			return kind.bad("statements: %s: sql: is required", st.Name)
		case st.Weight < 0 || st.Rows < 0:
			return kind.bad("statements: %s: weight and min-rows cannot be negative", st.Name)
		}
		seen[st.Name] = true
	}
	return nil
}
