package compose

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/eevans-d/simulacro/drills"
)

// readReport finds what an ended guard wrote in the engine's logs.
func (e *Engine) readReport(ctx context.Context, c container.InspectResponse, o owner) (*GuardReport, error) {
	logs, err := e.api.ContainerLogs(ctx, c.ID, container.LogsOptions{ShowStdout: true})
	if err != nil {
		return nil, fmt.Errorf("read the guard's report: %w", err)
	}
	defer func() { _ = logs.Close() }() // only read
	r, w := io.Pipe()
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, err := stdcopy.StdCopy(w, io.Discard, logs)
		_ = w.CloseWithError(err)
	}()
	report, err := parseReport(r, o)
	_ = r.Close()
	<-copied
	if err != nil {
		return nil, fmt.Errorf("read the guard's report: %w", err)
	}
	if report.Why == "lost" {
		report.To = parseTime(c.State.FinishedAt)
		report.Trouble = append(report.Trouble, fmt.Sprintf("the guard ended without a report, exit code %d", c.State.ExitCode))
	}
	return report, nil
}

// parseReport reads a guard's frames up to its report. A guard that was killed has none: then what it held is
// pieced together from its acknowledgements.
func parseReport(in io.Reader, o owner) (*GuardReport, error) {
	lost := &GuardReport{Run: o.Run, Project: o.System, Why: "lost", From: o.Since}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<16), lineLimit)
	for lines.Scan() {
		var f drills.Frame
		if json.Unmarshal(lines.Bytes(), &f) != nil {
			continue // half a line, written while it was killed
		}
		switch f.Type {
		case frameReport:
			var r GuardReport
			if err := json.Unmarshal(f.Data, &r); err != nil {
				return nil, err
			}
			return &r, nil
		case frameReleased:
			return &GuardReport{Run: o.Run, Project: o.System, Why: frameReleased, From: o.Since}, nil
		case frameUndone:
			var u GuardUndo
			if json.Unmarshal(f.Data, &u) == nil {
				lost.Undos = append(lost.Undos, u)
			}
		case frameAck:
			var a idData
			if json.Unmarshal(f.Data, &a) == nil {
				lost.Held = hold(lost.Held, a)
			}
		}
	}
	return lost, lines.Err()
}

func hold(held []string, a idData) []string {
	held = slices.DeleteFunc(held, func(id string) bool { return id == a.ID })
	if a.What == frameIntend {
		held = append(held, a.ID)
	}
	return held
}
