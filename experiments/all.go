package experiments

import "github.com/eevans-d/simulacro/drills"

// All is the registry: every fault that a drill may name. A new fault is one file and one line here.
func All() drills.Kinds {
	return drills.Kinds{
		"bandwidth":                 bandwidthKind(),
		"connection-exhaustion":     connectionExhaustionKind(),
		"connection-reset":          resetKind(),
		"dependency-outage":         dependencyOutageKind(),
		"dns":                       dnsKind(),
		"failover":                  failoverKind(),
		"kill":                      killKind(),
		"latency":                   latencyKind(),
		"packet-corruption":         corruptionKind(),
		"packet-duplication":        duplicationKind(),
		"packet-loss":               lossKind(),
		"packet-reordering":         reorderingKind(),
		"partition":                 partitionKind(),
		"pause":                     pauseKind(),
		"postgres-drop-index":       postgresDropIndexKind(),
		"postgres-lock-storm":       postgresLockStormKind(),
		"postgres-long-transaction": postgresLongTransactionKind(),
		"postgres-replay-pause":     postgresReplayPauseKind(),
		"postgres-slow-queries":     postgresSlowQueriesKind(),
		"redis-client-kill":         redisClientKillKind(),
		"redis-eviction-storm":      redisEvictionStormKind(),
		"redis-flushall":            redisFlushallKind(),
		"redis-maxmemory":           redisMaxmemoryKind(),
		"redis-persistence":         redisPersistenceKind(),
		"redis-replica-lag":         redisReplicaLagKind(),
		"redis-slow-commands":       redisSlowCommandsKind(),
		"restart":                   restartKind(),
		"saturate-http":             saturateHTTPKind(),
		"saturate-postgres":         saturatePostgresKind(),
		"saturate-redis":            saturateRedisKind(),
		"saturate-websocket":        saturateWebSocketKind(),
		"sentinel-failover":         sentinelFailoverKind(),
		"stop":                      stopKind(),
		"switchover":                switchoverKind(),
		"user-mix":                  userMixKind(),
	}
}
