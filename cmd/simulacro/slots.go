package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/reports"
)

// slotsFile, in the runs folder, has one JSON line per slot of the calendar that was due, and what became of it.
const slotsFile = "slots.jsonl"

func readSlots(root string) ([]reports.SlotResult, error) {
	b, err := os.ReadFile(filepath.Join(root, slotsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, drills.Wrap(drills.Internal, err, "read the calendar's slots", "")
	}
	var out []reports.SlotResult
	for line := range bytes.Lines(b) {
		var s reports.SlotResult
		if err := json.Unmarshal(line, &s); err != nil {
			break // a torn last line: its write never returned
		}
		out = append(out, s)
	}
	return out, nil
}

// keepSlot appends one slot's fate, durably.
func keepSlot(root string, s reports.SlotResult) error {
	b, err := json.Marshal(s)
	if err != nil {
		return drills.Wrap(drills.Internal, err, "write the calendar's slots", "")
	}
	f, err := os.OpenFile(filepath.Join(root, slotsFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return drills.Wrap(drills.Internal, err, "write the calendar's slots", "")
	}
	_, werr := f.Write(append(b, '\n'))
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return drills.Wrap(drills.Internal, err, "write the calendar's slots", "")
	}
	return nil
}
