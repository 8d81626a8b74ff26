package scenario

import (
	"errors"
	"fmt"

	"github.com/eevans-d/simulacro/drills"
)

type fakeFault struct{ params any }

func (fakeFault) Plan(drills.Scene) ([]drills.Change, error) { return nil, nil }

type killParams struct {
	As     string `yaml:"as"`
	Signal string `yaml:"signal,omitempty"`
}

// killFault needs a duration for one of its modes only.
type killFault struct{ killParams }

func (k killFault) Plan(s drills.Scene) ([]drills.Change, error) {
	switch {
	case len(s.Targets) == 0 || s.System == nil:
		panic("a scene has targets and a system")
	case k.As == "stop" && s.Duration == 0:
		return nil, drills.Errorf(drills.Input, "add duration", "as: stop needs a duration")
	}
	return nil, drills.Errorf(drills.Blocked, "", "nothing there")
}

type partitionParams struct {
	From      []drills.Target `json:"from"`
	Direction string          `json:"direction"`
	Every     drills.Duration `json:"every"`
}

type loadCommon struct {
	Connections int `yaml:"connections"`
}

type loadParams struct {
	loadCommon
	Rate  float64      `yaml:"rate"`
	Share drills.Share `yaml:"share"`
	Extra any          `yaml:"extra"`
}

func fakeKinds() drills.Kinds {
	return drills.Kinds{
		"kill":               {Info: drills.Info{Kind: "kill", Duration: "optional", Verbs: []string{"unit.kill"}}, New: newKill},
		"pause":              {Info: drills.Info{Kind: "pause", Duration: "required", Verbs: []string{"unit.pause"}}, New: newNothing},
		"restart":            {Info: drills.Info{Kind: "restart", Duration: "none", Verbs: []string{"unit.restart"}}, New: newNothing},
		"switchover":         {Info: drills.Info{Kind: "switchover", Duration: "none"}, New: newNothing},
		"partition":          {Info: drills.Info{Kind: "partition", Duration: "required", Verbs: []string{"net.partition"}}, New: newPartition},
		"saturate-websocket": {Info: drills.Info{Kind: "saturate-websocket", Duration: "required", Verbs: []string{"load.websocket"}}, New: newLoad},
		"half-open-sockets":  {Info: drills.Info{Kind: "half-open-sockets", Duration: "required", Verbs: []string{"clients.half-open"}}, New: newNothing},
	}
}

func newNothing(drills.Decode) (drills.Fault, error) { return fakeFault{}, nil }

func newKill(decode drills.Decode) (drills.Fault, error) {
	k := killFault{killParams: killParams{As: "crash"}}
	if err := decode(&k.killParams); err != nil {
		return nil, fmt.Errorf("kill: %w", err)
	}
	if k.As != "crash" && k.As != "stop" {
		return nil, drills.Errorf(drills.Input, "crash: restart policies act", "kill: as: must be crash or stop, found %q", k.As)
	}
	return k, nil
}

func newPartition(decode drills.Decode) (drills.Fault, error) {
	var p partitionParams
	if err := decode(&p); err != nil {
		return nil, err
	}
	var errs []error
	if len(p.From) == 0 {
		errs = append(errs, errors.New("partition: from: must name who the target is cut off from"))
	}
	if p.Direction == "up" {
		errs = append(errs, errors.New("partition: direction: up is none"))
	}
	return fakeFault{p}, errors.Join(errs...)
}

func newLoad(decode drills.Decode) (drills.Fault, error) {
	p := loadParams{loadCommon: loadCommon{Connections: 5000}}
	return fakeFault{&p}, decode(&p)
}
