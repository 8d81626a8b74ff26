package experiments

import (
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/experiments/helper"
)

// RedisReplicaLag makes replicas late: what their primary sends them reaches them after a delay. They go on answering, with what
// they have. No command of Redis does that: CLIENT PAUSE does not stop replication, and a busy replica answers nobody.
type RedisReplicaLag struct {
	Delay drills.Duration `yaml:"delay" json:"delay"`
	Ports []int           `yaml:"ports" json:"ports,omitempty"` // the primary's
}

func redisReplicaLagKind() drills.Kind {
	return trafficKind("redis-replica-lag", verbLatency, "Delay the replication stream to Redis replicas",
		"packets of the stream that were held; the lag itself is the fact `lag` of the component's roles",
		func() *RedisReplicaLag {
			return &RedisReplicaLag{Delay: drills.Duration(2 * time.Second), Ports: []int{redisPort}}
		})
}

// Validate checks the parameters. The primary drops a replica that does not acknowledge within repl-timeout (60 s unless set).
func (f *RedisReplicaLag) Validate() error {
	return complaint("redis-replica-lag").lasting("delay", f.Delay, time.Millisecond, 20*time.Second)
}

// Plan delays what comes in from the component's primary at each targeted replica.
func (f *RedisReplicaLag) Plan(s drills.Scene) ([]drills.Change, error) {
	for _, m := range s.Targets {
		if m.Role == rolePrimary {
			return nil, drills.Errorf(drills.Input, "target replicas: `role: replica`", "redis-replica-lag: %s is the primary", m.Name)
		}
	}
	path := Path{Peers: []drills.Target{{Component: s.Targets[0].Component, Role: rolePrimary}}, Direction: helper.In, Ports: f.Ports, Protocol: helper.TCP}
	return onTraffic(s, "redis-replica-lag", verbLatency, path, helper.Effects{Latency: &helper.Latency{Delay: f.Delay, Distribution: helper.Uniform}})
}
