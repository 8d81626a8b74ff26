package drills

import (
	"slices"
	"testing"
)

// TestChecklist: a topic is as bad as its worst line, and one that nobody looked at is never good.
func TestChecklist(t *testing.T) {
	got := Checklist([]Diagnosis{
		{What: "a", Level: LevelOK, Topic: TopicAlerts},
		{What: "b", Level: LevelWarning, Found: "x", Topic: TopicAlerts},
		{What: "c", Level: LevelNotChecked, Found: "y", Topic: TopicAlerts},
		{What: "d", Level: LevelOK, Topic: TopicSecrets},
		{What: "e", Level: LevelProblem},
	})
	if len(got) != len(Topics()) {
		t.Fatalf("%d lines", len(got))
	}
	for _, l := range got {
		want, found := LevelNotChecked, 0
		switch l.Topic {
		case TopicAlerts:
			want, found = LevelWarning, 2
		case TopicSecrets:
			want = LevelOK
		}
		if l.Level != want || len(l.Found) != found {
			t.Errorf("%s: %s %v, want %s", l.Topic, l.Level, l.Found, want)
		}
	}
	levels := []Level{LevelOK, LevelNotChecked, LevelWarning, LevelProblem}
	if !slices.IsSortedFunc(levels, func(a, b Level) int {
		if a.Worse(b) {
			return 1
		}
		return -1
	}) {
		t.Error("the levels are not in order")
	}
}
