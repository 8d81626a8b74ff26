package drills

// The verbs of what a drill says in commands: inside a member, or beside the orchestrator.
const (
	VerbExec   = "command.exec"
	VerbUnexec = "command.unexec"
	VerbRun    = "command.run"
	VerbUnrun  = "command.unrun"
)

// CommandArgs are the arguments of all command verbs. No shell is involved. Query tells by its exit whether the effect is
// there: 0 it is, 1 it is not, anything else means that nobody knows. Env's values may be references to secrets.
type CommandArgs struct {
	Do      []string          `json:"do,omitempty"`
	Undo    []string          `json:"undo"`
	Query   []string          `json:"query"`
	Env     map[string]string `json:"env,omitempty"`
	Timeout Duration          `json:"timeout"` // of each command, and of the wait for its effect
}
