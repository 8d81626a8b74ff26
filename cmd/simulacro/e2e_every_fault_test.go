package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/experiments"
)

// inForce is one fault on the reference system, by which the tool is killed while it is in force.
type inForce struct {
	kind      string
	component string // the target's
	among     string // which of its members
	with, dur string
	shipped   string // the fault as it stands in this drill of ours instead
}

// inForceCases has every fault that the registry knows, but those of notInForce.
func inForceCases() []inForce {
	const (
		one     = "pick: one"
		primary = "role: primary"
		replica = "role: replica, pick: one"
		long    = "40s"
	)
	return []inForce{
		{"bandwidth", "bot", "", "{rate: 64kbit}", long, ""},
		{"command", "redis", replica, `{do: [bash, -c, "echo x > /tmp/simulacro-e2e"], undo: [rm, -f, /tmp/simulacro-e2e], query: [test, -e, /tmp/simulacro-e2e]}`, long, ""},
		{"connection-exhaustion", "postgis", primary, "{at-most: 150}", long, ""},
		{"connection-reset", "bot", "", "{share: 50%}", long, ""},
		{"cpu-limit", "api", one, "{to: '0.5'}", long, ""},
		{"cpu-stress", "api", one, "{load: 50%}", long, ""},
		{"dependency-outage", "bot", "", "{on: telegram, as: refused}", long, ""},
		{"disk-latency", "redis", replica, "{path: /data, ops: 100}", long, ""},
		{"dns", "bot", "", "{mode: servfail, names: [nobody.example.org]}", long, ""},
		{"exchange-fault", "haproxy", "", "{side: in, on: api, ports: [5000], share: 10%, delay: 1s}", long, ""},
		{"expired-tokens", "", "", "", "", "ws-token-expiry"},
		{"failover", "postgis", primary, "", "", ""},
		{"file-descriptors", "api", one, "{use: 90%}", long, ""},
		{"half-open-sockets", "", "", "", "", "ws-half-open"},
		{"http-fault", "proxy", "", `{side: in, ports: [8080], on: bot, rules: [{match: {}, share: 50%, status: {code: 503}}]}`, long, ""},
		{"kill", "redis", replica, "{as: stop}", long, ""},
		{"latency", "bot", "", "{delay: 100ms}", long, ""},
		{"memory-limit", "api", one, "{share: 80%}", long, ""},
		{"memory-stress", "api", one, "{share: 60%}", long, ""},
		{"out-of-memory", "bot", "", "", "", ""},
		{"packet-corruption", "bot", "", "{share: 5%}", long, ""},
		{"packet-duplication", "bot", "", "{share: 20%, peers: [{component: proxy}]}", long, ""},
		{"packet-loss", "bot", "", "{share: 10%}", long, ""},
		{"packet-reordering", "bot", "", "{share: 20%, by: 20ms}", long, ""},
		{"partition", "bot", "", "{from: [{component: telegram}]}", long, ""},
		{"pause", "bot", "", "", long, ""},
		{"postgres-drop-index", "postgis", primary, "{index: gad.ix_efectivos_geom_gist}", long, ""},
		{"postgres-lock-storm", "postgis", primary, "{tables: [gad.usuarios], hold: 300ms, gap: 1s}", long, ""},
		{"postgres-long-transaction", "postgis", primary, "{sessions: 2, table: gad.usuarios, rows: 1}", long, ""},
		{"postgres-replay-pause", "postgis", replica, "", long, ""},
		{"postgres-slow-queries", "postgis", primary, "{sessions: 1, each: 1s, gap: 1s}", long, ""},
		{"processes", "bot", "", "{left: 3}", long, ""},
		{"recreate", "bot", "", "{grace: 5s, within: 1m}", "", ""},
		{"redis-client-kill", "redis", primary, "{type: pubsub}", "", ""},
		{"redis-eviction-storm", "redis", primary, "{rate: 500, size: 1000}", long, ""},
		{"redis-flushall", "redis", primary, "", "", ""},
		{"redis-maxmemory", "redis", primary, "{share: 95%, policy: noeviction}", long, ""},
		{"redis-persistence", "redis", replica, `{appendonly: "no", exposed: 1s, grace: 1s}`, long, ""},
		{"redis-replica-lag", "redis", replica, "{delay: 200ms}", long, ""},
		{"redis-slow-commands", "redis", primary, "{busy: 50ms, every: 1s}", long, ""},
		{"restart", "bot", "", "{grace: 5s}", "", ""},
		{"restart-loop", "bot", "", "{every: 5s}", long, ""},
		{"restore-backup", "", "", "", "", "backup-restore"},
		{"rolling-restart", "api", "", "{grace: 10s, within: 1m}", "", ""},
		{"runbook", "bot", "", "{title: Wait, steps: [{do: Wait, command: [sleep, \"20\"], within: 1m}]}", "", ""},
		{"saturate-http", "", "", "", "", "api-load"},
		{"saturate-postgres", "", "", "", "", "postgis-load"},
		{"saturate-redis", "", "", "", "", "redis-load"},
		{"saturate-websocket", "", "", "", "", "ws-saturation-1k"},
		{"scale", "api", "", "{to: 1}", long, ""},
		{"sentinel-failover", "redis", primary, "", "", ""},
		{"slow-consumers", "", "", "", "", "ws-slow-consumers"},
		{"stop", "bot", "", "{grace: 5s}", long, ""},
		{"switchover", "postgis", primary, "", "", ""},
		{"user-mix", "", "", "", "", "user-mix-1000"},
	}
}

// notInForce are the faults that are not killed here, each with the reason.
func notInForce() map[string]string {
	return map[string]string{
		"disk-fill":         "no member of the reference system has a volume with a size of its own; TestDiskFill fills one and kills the tool",
		"destroy":           "irreversible: TestBackupDrills loses every member of PostGIS, makes the system anew and checks it",
		"postgres-wal-full": "as disk-fill; TestPostgresWALFull fills the volume of a WAL and kills the tool",
		"http":              "its author declares that nobody undoes it while the tool is dead (unguarded); TestHTTPActsConform does and undoes one",
	}
}

// TestEveryFaultIsKilledSomewhere needs no system: a new fault needs a line above.
func TestEveryFaultIsKilledSomewhere(t *testing.T) {
	t.Parallel()
	have := slices.Collect(maps.Keys(notInForce()))
	for _, x := range inForceCases() {
		have = append(have, x.kind)
	}
	slices.Sort(have)
	if want := slices.Sorted(maps.Keys(experiments.All())); !slices.Equal(have, want) {
		t.Errorf("killed in force are\n%v\nthe registry has\n%v", have, want)
	}
}

// TestEveryFaultKilledInForce: whatever the fault, kill -9 of the tool's process group in the middle of it leaves nothing:
// by nft, tc, docker, redis-cli and psql every member is as it was before, without any later start of ours.
func TestEveryFaultKilledInForce(t *testing.T) {
	e2e(t, true)
	for _, x := range inForceCases() {
		t.Run(x.kind, func(t *testing.T) {
			whole(t) // also that there is one primary per store, as settled asks afterwards
			before := inspect(t)
			v := startInForce(t, x)
			v.until(t, "took effect")
			if !v.running() {
				t.Fatalf("it ended before its fault took effect:\n%s", v.said())
			}
			killGroup(v)
			at := time.Now()
			var diff []string
			eventually(t, 2*time.Minute, "as it was", func() bool {
				diff = before.differences(inspect(t))
				return len(diff) == 0 || time.Since(at) > 110*time.Second
			})
			if len(diff) > 0 {
				t.Errorf("%s after the kill:\n%v", time.Since(at).Round(time.Second), diff)
			}
			t.Logf("as it was, at most %s after the kill", time.Since(at).Round(100*time.Millisecond))
			settled(t, v)
		})
	}
}

// startInForce runs the one step as a drill of its own, or the shipped drill.
func startInForce(t *testing.T, x inForce) *victim {
	t.Helper()
	name := x.shipped
	if name == "" {
		name = filepath.Join(t.TempDir(), "every-"+x.kind+".yaml")
		if err := os.WriteFile(name, []byte(x.drill()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runs := t.TempDir()
	return startTool(t, runs, "--system", refSystem, "--profile", "ci", "--runs", runs, "run", "--purpose", "ci", name)
}

// drill is the smallest one that has the fault.
func (x inForce) drill() string {
	step := fmt.Sprintf("id: fault, fault: %s, target: {component: %s", x.kind, x.component)
	if x.among != "" {
		step += ", " + x.among
	}
	step += "}"
	if x.with != "" {
		step += ", with: " + x.with
	}
	if x.dur != "" {
		step += ", duration: " + x.dur
	}
	return fmt.Sprintf(`version: 1
drill: every-%s
title: %s (test)
hypothesis: Nothing of it is left when the tool is killed
component: %s
environments: [reference]
steady-state: {for: 2s}
method:
  - {%s}
recovery: {while: any}
stop-conditions:
  - {time: 4m, objective-truncated: true}
`, x.kind, x.kind, x.component, step)
}
