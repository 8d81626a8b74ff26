package store

import (
	"context"
	"strconv"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// waitUntil returns at a time that may have passed; false when ctx ended.
func waitUntil(ctx context.Context, at time.Time) bool {
	if d := time.Until(at); d > 0 {
		return drills.Wait(ctx, d)
	}
	return ctx.Err() == nil
}

// seconds is a length of time as SQL has it.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }
