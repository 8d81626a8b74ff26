package reports

import (
	"encoding/json"
	"io"

	"github.com/eevans-d/simulacro/drills"
)

// JSON writes the record itself: what record/drill.json holds and programs read.
func JSON(w io.Writer, r drills.Record) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}
