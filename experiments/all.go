package experiments

import "github.com/eevans-d/simulacro/drills"

// All is the registry: every fault that a drill may name. A new fault is one file and one line here.
func All() drills.Kinds {
	return drills.Kinds{
		"failover":           failoverKind(),
		"kill":               killKind(),
		"partition":          partitionKind(),
		"pause":              pauseKind(),
		"restart":            restartKind(),
		"saturate-websocket": saturateWebSocketKind(),
		"sentinel-failover":  sentinelFailoverKind(),
		"stop":               stopKind(),
		"switchover":         switchoverKind(),
	}
}
