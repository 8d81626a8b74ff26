package experiments

import "github.com/eevans-d/simulacro/drills"

// All is the registry: every fault that a drill may name. A new fault is one file and one line here.
func All() drills.Kinds {
	return drills.Kinds{
		"bandwidth":          bandwidthKind(),
		"connection-reset":   resetKind(),
		"cpu-limit":          cpuLimitKind(),
		"cpu-stress":         cpuStressKind(),
		"dependency-outage":  dependencyOutageKind(),
		"disk-fill":          diskFillKind(),
		"dns":                dnsKind(),
		"failover":           failoverKind(),
		"file-descriptors":   fileDescriptorsKind(),
		"kill":               killKind(),
		"latency":            latencyKind(),
		"memory-limit":       memoryLimitKind(),
		"memory-stress":      memoryStressKind(),
		"out-of-memory":      outOfMemoryKind(),
		"packet-corruption":  corruptionKind(),
		"packet-duplication": duplicationKind(),
		"packet-loss":        lossKind(),
		"packet-reordering":  reorderingKind(),
		"partition":          partitionKind(),
		"pause":              pauseKind(),
		"processes":          processesKind(),
		"recreate":           recreateKind(),
		"restart":            restartKind(),
		"restart-loop":       restartLoopKind(),
		"rolling-restart":    rollingRestartKind(),
		"saturate-http":      saturateHTTPKind(),
		"saturate-postgres":  saturatePostgresKind(),
		"saturate-redis":     saturateRedisKind(),
		"saturate-websocket": saturateWebSocketKind(),
		"scale":              scaleKind(),
		"sentinel-failover":  sentinelFailoverKind(),
		"stop":               stopKind(),
		"switchover":         switchoverKind(),
		"user-mix":           userMixKind(),
	}
}
