package experiments

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// SaturateHTTP sends requests at a rate, whether or not earlier ones are answered.
type SaturateHTTP struct {
	Rate        float64         `yaml:"rate" json:"rate"`               // requests a second
	Connections int             `yaml:"connections" json:"connections"` // kept; a request waits for one
	Timeout     drills.Duration `yaml:"timeout" json:"timeout"`
	Ramp        drills.Duration `yaml:"ramp" json:"ramp"`                 // the rate grows; its requests do not count
	URL         string          `yaml:"url" json:"url,omitempty"`         // such as a proxy's; default: the targets' own addresses
	Port        int             `yaml:"port" json:"port,omitempty"`       // of the targets; default: the component's data port
	Network     string          `yaml:"network" json:"network,omitempty"` // default: the one network of the targets
	Login       *drills.Login   `yaml:"login" json:"login,omitempty"`
	Operations  []drills.HTTPOp `yaml:"operations" json:"operations"`
}

func saturateHTTPKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "saturate-http",
		Summary:  "Send requests at a rate, whether or not earlier ones are answered",
		Class:    drills.ClassUndo,
		Verbs:    []string{"load.open", "load.stop"},
		Duration: "required",
		Proof:    "connections on which a request was answered well, as the generator counted them",
		Undo:     "the generator is stopped; it also ends when its stream closes",
	}, func() *SaturateHTTP {
		return &SaturateHTTP{Connections: 64, Timeout: drills.Duration(5 * time.Second), Ramp: drills.Duration(2 * time.Second)}
	})
}

// Validate checks the parameters.
func (f *SaturateHTTP) Validate() error {
	const kind = complaint("saturate-http")
	if err := kind.flow(f.Rate, f.Connections, f.Timeout, f.Ramp); err != nil {
		return err
	}
	if err := kind.login(f.Login); err != nil {
		return err
	}
	return kind.operations(f.Operations)
}

// Plan is one change for all targets.
func (f *SaturateHTTP) Plan(s drills.Scene) ([]drills.Change, error) {
	if err := needDuration(s, "saturate-http goes on"); err != nil {
		return nil, err
	}
	network, err := sharedNetwork(f.Network, s.Targets)
	if err != nil {
		return nil, err
	}
	urls, err := loadBase(s, f.URL, network, f.Port)
	if err != nil {
		return nil, err
	}
	c, err := openLoad(s, network, f.Ramp, "", drills.LoadFlow{
		Name: "http", Rate: f.Rate, Connections: f.Connections, Timeout: f.Timeout,
		HTTP: &drills.HTTPLoad{URLs: urls, Login: f.Login, Operations: f.Operations},
	})
	return []drills.Change{c}, err
}
