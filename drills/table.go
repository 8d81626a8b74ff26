package drills

import (
	"regexp"
	"strings"
)

// unfit is what may not be in an identifier of ours.
var unfit = regexp.MustCompile(`[^a-z0-9_]+`)

// longestName is PostgreSQL's limit (NAMEDATALEN - 1): longer names are cut silently, and two could become one.
const longestName = 63

// TableName puts the run into the name of a canary's table, as far as identifiers allow; the run's end is what tells runs
// apart.
func TableName(pattern, run string) string {
	schema, table, ok := strings.Cut(pattern, ".")
	if !ok {
		schema, table = "simulacro", pattern
	}
	clean := strings.Trim(unfit.ReplaceAllString(strings.ToLower(run), "_"), "_")
	room := max(longestName-len(strings.ReplaceAll(table, "{run}", "")), 8)
	if len(clean) > room {
		clean = clean[len(clean)-room:]
	}
	return schema + "." + strings.ReplaceAll(table, "{run}", clean)
}
