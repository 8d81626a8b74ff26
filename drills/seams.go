package drills

import (
	"context"
	"encoding/json"
	"io"
	"time"
)

// Scene is what a fault plans against: the system now, and the members selected for this step.
type Scene struct {
	Topology
	Step     string
	Targets  []Member // never empty
	Planned  []Member // the step's targets when the run was planned: roles may have moved since
	Duration Duration
	Run      string
	System   *System
}

// Fault turns its parameters and a scene into changes. Plan is pure: no clock, no network, no chance.
// Op and change ids are filled in by the engine.
type Fault interface {
	Plan(Scene) ([]Change, error)
}

// Info says what a fault is, for `list`, `plan` and `validate`, and what it needs.
type Info struct {
	Kind     string   // as in the drill file
	Summary  string   // one line
	Class    Class    // as planned by default
	Verbs    []string // what the runtime must support
	Duration string   // "required", "optional" or "none"
	Proof    string   // how its effect is proven
	Undo     string   // how it is undone
}

// Decode fills a value from a drill's `with:` block, refusing unknown keys with file:line:column.
type Decode func(into any) error

// Kind is one entry of the fault registry.
type Kind struct {
	Info Info
	New  func(Decode) (Fault, error)
}

// Kinds maps a fault's name in drill files to its kind. Built by a literal, never by init.
type Kinds map[string]Kind

// Actuator performs the ops of some verb prefixes. A do happens at most once per op id; an undo is
// idempotent, conditional (same object, still in the state we left it, else Effect.Skipped) and may be
// called without its do ever having happened. Both fail on a dead context.
type Actuator interface {
	Apply(context.Context, Op) (Effect, error)
	// Present is read-only: is this (do) op's effect there now?
	Present(context.Context, Op) (bool, error)
}

// Preparer is an Actuator that has to look before it intends: Prepare finds out whether the deed may be done and completes the
// change with what its undo must put back, so that the intent on disk has all of it. It only reads.
type Preparer interface {
	Prepare(context.Context, Change) (Change, error)
}

// Runtime is the system as the engine sees it: one mux over the actuators, by verb prefix.
type Runtime interface {
	Actuator
	Topology(context.Context) (Topology, error)
}

// RoleResolver asks a component's own control plane (Sentinel, Patroni) who is what.
type RoleResolver interface {
	Resolve(ctx context.Context, c Component, members []Member) (RoleView, error)
}

// PlaceKind says where a process of ours runs.
type PlaceKind string

// Host: a plain process beside the orchestrator. Network: an unprivileged container with an address of its
// own in a system network (a vantage). Target: in a member's network namespace with NET_ADMIN (a helper).
// HostPID: in the host's PID namespace with KILL, for a crash. Cgroup: in a member's control group and in sight of its file
// system, for pressure on its resources. Limits: in the host's PID namespace as the owner of the processes whose
// limits it moves, without any capability. BlockIO: with a member's block I/O control group and one of its volumes mounted,
// and nothing else. Guard: with the engine's socket.
// Sandbox: an empty container made from a member's image, in no network, with volumes of the system to read.
const (
	PlaceHost    PlaceKind = "host"
	PlaceNetwork PlaceKind = "network"
	PlaceTarget  PlaceKind = "target"
	PlaceHostPID PlaceKind = "host-pid"
	PlaceCgroup  PlaceKind = "cgroup"
	PlaceLimits  PlaceKind = "limits"
	PlaceBlockIO PlaceKind = "block-io"
	PlaceGuard   PlaceKind = "guard"
	PlaceSandbox PlaceKind = "sandbox"
)

// Place is where a process of ours runs. Realtime asks for SCHED_FIFO where allowed.
type Place struct {
	Kind     PlaceKind `json:"kind"`
	Network  string    `json:"network,omitempty"` // short network name
	Target   string    `json:"target,omitempty"`  // member id
	Name     string    `json:"name,omitempty"`    // what it is for, part of the container's name
	Realtime bool      `json:"realtime,omitempty"`
	Deaf     bool      `json:"deaf,omitempty"` // network: may make its own sockets deaf, which kernels ask NET_ADMIN for, in its own network namespace
	User     string    `json:"user,omitempty"` // Limits: uid:gid
	Path     string    `json:"path,omitempty"` // BlockIO: a directory of a volume, as the member names it
	// Grace is how long the process may take to undo itself when it is told to end by others than its stream; zero: two seconds.
	Grace Duration `json:"grace,omitempty"`

	Sandbox *Sandbox `json:"sandbox,omitempty"` // of a sandbox, what it may read
}

// Sandbox is what an isolated container is made from beside its target's image.
type Sandbox struct {
	Image   string         `json:"image,omitempty"` // another image than the target's
	Volumes []VolumeToRead `json:"volumes,omitempty"`
}

// VolumeToRead is a volume of the system that a sandbox may read.
type VolumeToRead struct {
	Name string `json:"name" yaml:"name"` // short, as the Compose file has it
	At   string `json:"at" yaml:"at"`     // where it is mounted
}

// TargetRootVariable is set in a process at PlaceCgroup that does not run inside the target: where the target's file system
// is, as that process sees it.
const TargetRootVariable = "SIMULACRO_TARGET_ROOT"

// TargetCopyPrefix begins the name of the file from which a process inside a target was started; it removes that file.
const TargetCopyPrefix = ".simulacro-"

// Frame is one line of the protocol between the orchestrator and its processes: newline-delimited JSON on
// stdin and stdout. Mono is CLOCK_MONOTONIC, Wall CLOCK_REALTIME, both in nanoseconds, stamped by the sender.
// To a process: "spec" (first), "renew", "stop" and its own commands. From it: "ready", "beat", "error",
// "done" and its own results. End of stdin means: stop and undo.
type Frame struct {
	Type string          `json:"type"`
	Mono int64           `json:"mono,omitempty"`
	Wall int64           `json:"wall,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Stream is a running process of ours. Recv returns io.EOF when it ended; Close closes its stdin, waits for its end
// (bounded by ctx) and removes it. Send and Recv may be used by two goroutines.
type Stream interface {
	Send(Frame) error
	Recv() (Frame, error)
	Close(context.Context) error
}

// Launcher runs this same binary in a place: argv are the arguments after the binary's name.
type Launcher interface {
	Start(ctx context.Context, p Place, argv []string) (Stream, error)
}

// Journal is append-only and durable: Append returns after the event (with Seq and Prev filled in) is fsynced.
type Journal interface {
	Append(Event) (Event, error)
	Events() []Event
}

// Samples stores raw samples, one file per probe or canary, in the run directory.
type Samples interface {
	Create(name string) (io.WriteCloser, error)
	// Digest is the SHA-256 (hex) of the closed file.
	Digest(name string) (string, error)
}

// Guard is the dead man's hand on the target's own engine. Intend returns once the guard holds the undo;
// Lost is closed when the guard is gone or our lease ran out: the engine then stops itself.
type Guard interface {
	Intend(ctx context.Context, c Change) error
	Done(ctx context.Context, changeID string) error
	Lost() <-chan struct{}
}

// Observer watches the system through a whole run. Start returns once it is measuring; what it sees goes to emit
// (safe for concurrent use) as edge, alert, role and finding events. Finish stops it (reading back, purging) and returns
// its measured events.
type Observer interface {
	Start(ctx context.Context, emit func(Event)) error
	Finish(ctx context.Context, t Timing) ([]Event, error)
}

// Baseliner is an Observer that can state its baseline over a window that has just passed.
type Baseliner interface {
	Baseline(ctx context.Context, window Interval) ([]Event, error)
}

// NamedWindow is a window of the run for which a probe's statistics or a query's values are wanted.
type NamedWindow struct {
	During During
	Window Interval
	Asked  *Answers // in the windows of a contract: what is counted besides
}

// Windower is an Observer that answers, after Finish, for windows that are only known once recovery has been measured:
// window events for probes (ignored where During.Probe is not its own), query events for PromQL.
type Windower interface {
	Windows(ctx context.Context, ws []NamedWindow) ([]Event, error)
}

// Reader is an Observer with something to settle while the system is up again and before it stops, such as reading
// canaries back. It may take a while.
type Reader interface {
	ReadBack(ctx context.Context, t Timing) error
}

// Preflight is one thing that must hold before anything is injected. It returns one Check per question, all of them.
type Preflight interface {
	Check(ctx context.Context, d *Drill) []Check
}

// Timing is what observers need to know of the run at its end. Times are zero where not reached.
type Timing struct {
	Opened   time.Time
	Steady   Interval  // the settle window
	T0       Interval  // first effect
	Lifted   time.Time // when the last fault was lifted
	Restored time.Time
}
