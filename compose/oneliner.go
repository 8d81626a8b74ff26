package compose

import "fmt"

// OneLiner is what a person can paste into a shell to clean up after a run without simulacro. The first line ends what
// is ours and thaws what is frozen; what has to be started again is for the person to see, because only the system's
// owners know which ended containers are meant to be down.
func OneLiner(run, project string) string {
	return fmt.Sprintf(`docker ps -aq --filter label=%[1]s=%[2]s | xargs -r docker rm -f; docker ps -q --filter label=%[3]s=%[4]s --filter status=paused | xargs -r docker unpause
docker ps -a --filter label=%[3]s=%[4]s --filter status=exited   # what is down: docker start NAME
`, LabelRun, run, labelProject, project)
}
