package experiments

import "github.com/eevans-d/simulacro/drills"

// All is the registry: every fault that a drill may name. A new fault is one file and one line here.
func All() drills.Kinds {
	return drills.Kinds{
		"bandwidth":          bandwidthKind(),
		"connection-reset":   resetKind(),
		"dependency-outage":  dependencyOutageKind(),
		"destroy":            destroyKind(),
		"dns":                dnsKind(),
		"failover":           failoverKind(),
		"kill":               killKind(),
		"latency":            latencyKind(),
		"packet-corruption":  corruptionKind(),
		"packet-duplication": duplicationKind(),
		"packet-loss":        lossKind(),
		"packet-reordering":  reorderingKind(),
		"partition":          partitionKind(),
		"pause":              pauseKind(),
		"restart":            restartKind(),
		"restore-backup":     restoreBackupKind(),
		"runbook":            runbookKind(),
		"saturate-http":      saturateHTTPKind(),
		"saturate-postgres":  saturatePostgresKind(),
		"saturate-redis":     saturateRedisKind(),
		"saturate-websocket": saturateWebSocketKind(),
		"sentinel-failover":  sentinelFailoverKind(),
		"stop":               stopKind(),
		"switchover":         switchoverKind(),
		"user-mix":           userMixKind(),
	}
}
