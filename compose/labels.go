package compose

import (
	"os"
	"strconv"
	"time"
)

// The labels that everything of ours carries.
const (
	LabelRun    = "io.simulacro.run"    // run id
	LabelSystem = "io.simulacro.system" // Compose project that is drilled
	LabelRole   = "io.simulacro.role"   // guard | vantage | helper | sandbox
	LabelHost   = "io.simulacro.host"   // host name of the owner (the orchestrator)
	LabelPID    = "io.simulacro.pid"    // process id of the owner on that host
	LabelLease  = "io.simulacro.lease"  // unix nanoseconds of creation
)

// The roles of our containers.
const (
	RoleGuard   = "guard"
	RoleVantage = "vantage"
	RoleHelper  = "helper"
	RoleSandbox = "sandbox"
)

// The labels by which every Compose version marks its containers.
const (
	labelProject = "com.docker.compose.project"
	labelService = "com.docker.compose.service"
	labelNumber  = "com.docker.compose.container-number"
	labelOneOff  = "com.docker.compose.oneoff"
	labelNetwork = "com.docker.compose.network"
	labelVolume  = "com.docker.compose.volume"
)

// RunLabels says on whose behalf something is started. Only Run is needed: System defaults to the engine's project,
// Host and PID to this process.
type RunLabels struct {
	Run    string
	System string
	Host   string
	PID    int
}

// withDefaults fills in what may be left out.
func (r RunLabels) withDefaults(project string) RunLabels {
	if r.System == "" {
		r.System = project
	}
	if r.Host == "" {
		r.Host, _ = os.Hostname()
	}
	if r.PID == 0 {
		r.PID = os.Getpid()
	}
	if r.Run == "" {
		r.Run = "unnamed-" + strconv.Itoa(r.PID)
	}
	return r
}

// labels is what a container of that role gets.
func (r RunLabels) labels(role string, now time.Time) map[string]string {
	return map[string]string{
		LabelRun:    r.Run,
		LabelSystem: r.System,
		LabelRole:   role,
		LabelHost:   r.Host,
		LabelPID:    strconv.Itoa(r.PID),
		LabelLease:  strconv.FormatInt(now.UnixNano(), 10),
	}
}

// owner is what the labels of one of our containers say.
type owner struct {
	RunLabels
	Role  string
	Since time.Time // zero when the label is missing or not a number
}

// ownerOf reads our labels; ok is false when the container is not ours.
func ownerOf(labels map[string]string) (owner, bool) {
	if labels[LabelRun] == "" {
		return owner{}, false
	}
	o := owner{Role: labels[LabelRole], RunLabels: RunLabels{Run: labels[LabelRun], System: labels[LabelSystem], Host: labels[LabelHost]}}
	o.PID, _ = strconv.Atoi(labels[LabelPID])
	if ns, err := strconv.ParseInt(labels[LabelLease], 10, 64); err == nil {
		o.Since = time.Unix(0, ns).UTC()
	}
	return o, true
}

// isMember tells whether a container with these labels belongs to the project's system: a service's own container,
// neither a one-off `run` nor ours.
func isMember(labels map[string]string, project string) bool {
	_, ours := ownerOf(labels)
	return !ours && labels[labelProject] == project && labels[labelService] != "" && labels[labelOneOff] != "True"
}
