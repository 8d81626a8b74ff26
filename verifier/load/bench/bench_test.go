package main

import (
	"context"
	"os"
	"testing"
	"time"
)

// TestMain lets this test binary be the children that it starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "_child" {
		if err := child(context.Background(), os.Args[2], os.Stdin, os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Every library's client gets every frame from the servers, and what it costs is measured.
func TestRivalsAgainstTheServer(t *testing.T) {
	e := env{short: true, self: "/proc/self/exe"}
	for name := range rivals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := wsRun{connections: 40, servers: 2, hz: 20, length: time.Second}
			f, err := e.wsMeasure(t.Context(), r, e.rival(t.Context(), name, r))
			if err != nil || f.open != 40 || f.failed != 0 || f.sent != 40*20 || f.received != f.sent || f.lost() != 0 {
				t.Errorf("%+v, %v", f, err)
			}
			if f.idle.made <= 0 || f.busy.all() <= f.busy.made || f.connect <= 0 || f.processes != 1 {
				t.Errorf("figures that cannot be: %+v", f)
			}
		})
	}
}

// A goal that this machine cannot measure says what is missing, and fails nothing.
func TestMissingProgramIsSaid(t *testing.T) {
	g := goal{id: "x", title: "X", goal: "y", run: wsHold(10, 1, 1)}
	tables, err := measure(t.Context(), env{short: true, self: "/proc/self/exe"}, []goal{g}, t.Output())
	if err != nil || len(tables) != 1 || tables[0].verdict != "NOT MEASURED: simulacro: run make build, and give --simulacro bin/simulacro" {
		t.Errorf("%+v, %v", tables, err)
	}
}

func TestFramesOfTheServer(t *testing.T) {
	for _, n := range []int{0, 5, 125} {
		key := [4]byte{1, 2, 3, 4}
		wire := []byte{0x89, 0x80 | byte(n), 1, 2, 3, 4}
		for i := range n {
			wire = append(wire, byte(i)^key[i&3])
		}
		op, payload, size := wsParse(append(wire, 0x88))
		if op != 9 || size != len(wire) || len(payload) != n || n > 0 && payload[n-1] != byte(n-1) {
			t.Errorf("%d bytes: opcode %d, %d of %d, %v", n, op, size, len(wire), payload)
		}
		if _, _, size := wsParse(wire[:len(wire)-1]); size != 0 {
			t.Errorf("%d bytes, one of them missing: taken", n)
		}
	}
}
