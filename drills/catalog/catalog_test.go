package catalog

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

func TestCatalog(t *testing.T) {
	names := Names()
	if !slices.Equal(names, []string{"member-cpu-stress", "member-file-descriptors", "member-kill", "member-latency", "member-memory-limit", "member-memory-stress", "member-packet-loss", "member-pause", "member-restart-loop", "member-rolling-restart"}) {
		t.Fatalf("names %v", names)
	}
	for _, name := range names {
		b, err := Read(name)
		if err != nil || !strings.Contains(string(b), "drill: "+name+"\n") {
			t.Errorf("%s: %v\n%s", name, err, b)
		}
		if f, err := fs.ReadFile(Files(), name+".yaml"); err != nil || string(f) != string(b) {
			t.Errorf("%s as a file: %v", name, err)
		}
	}
	if _, err := Read("../catalog"); drills.CodeOf(err) != drills.Input || !strings.Contains(err.Error(), "one of member-cpu-stress, member-file-descriptors, member-kill, member-latency, member-memory-limit, member-memory-stress, member-packet-loss, member-pause, member-restart-loop, member-rolling-restart") {
		t.Errorf("unknown name: %v", err)
	}
}
