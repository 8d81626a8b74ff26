package helper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/eevans-d/simulacro/drills"
)

// The kinds of work, the "kind" of the spec frame.
const (
	KindPartition = "partition"
	KindTraffic   = "traffic"
	KindExchange  = "exchange"
	KindInspect   = "inspect"
	KindSweep     = "sweep"
	KindKill      = "kill"
	KindStrain    = "strain"
	KindProcesses = "processes"
	KindSignal    = "signal"
	KindCrashLoop = "crash-loop"
	KindNofile    = "nofile"
	KindSandbox   = "sandbox"
	KindThrottle  = "throttle"
)

// Failure is the data of an "error" frame.
type Failure struct {
	Message string `json:"message"`
}

// Main reads one spec from in, does it, answers on out, and returns when the work is over and undone. What went wrong
// is sent as an "error" frame too, because the error of a process in a container reaches nobody.
func Main(ctx context.Context, in io.Reader, out io.Writer) error {
	p := drills.NewPipe(in, out)
	err := serve(ctx, p)
	if err != nil {
		return errors.Join(err, p.Send("error", Failure{Message: err.Error()}))
	}
	return nil
}

func serve(ctx context.Context, p *drills.Pipe) error {
	var raw json.RawMessage
	if err := p.Spec(&raw); err != nil {
		return err
	}
	var head struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	switch head.Kind {
	case KindPartition:
		return decoded(raw, func(s PartitionSpec) error { return partition(ctx, p, s) })
	case KindTraffic:
		return decoded(raw, func(s TrafficSpec) error { return traffic(ctx, p, s) })
	case KindExchange:
		return decoded(raw, func(s ExchangeSpec) error { return spoilExchanges(ctx, p, s) })
	case KindInspect:
		return decoded(raw, func(InspectSpec) error { return inspect(p) })
	case KindSweep:
		return decoded(raw, func(s SweepSpec) error { return sweep(p, s) })
	case KindSandbox:
		return decoded(raw, func(s SandboxSpec) error { return sandbox(ctx, p, s) })
	case KindKill:
		return decoded(raw, func(s KillSpec) error { return kill(p, s) })
	case KindStrain:
		return decoded(raw, func(s StrainSpec) error { return press(ctx, p, s) })
	case KindProcesses:
		return decoded(raw, func(s ProcessesSpec) error { return processes(p, s) })
	case KindSignal:
		return decoded(raw, func(s SignalSpec) error { return signal(p, s) })
	case KindCrashLoop:
		return decoded(raw, func(s CrashLoopSpec) error { return crashLoop(ctx, p, s) })
	case KindThrottle:
		return decoded(raw, func(s ThrottleSpec) error { return throttle(p, s) })
	case KindNofile:
		return decoded(raw, func(s NofileSpec) error { return nofile(p, s) })
	}
	return fmt.Errorf("spec: kind %q is not one that this version knows", head.Kind)
}

// decoded reads the whole spec strictly: a field that this version does not know must not be ignored in a fault.
func decoded[S any](raw json.RawMessage, do func(S) error) error {
	var s S
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	return do(s)
}
