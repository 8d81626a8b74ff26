package experiments

import "github.com/eevans-d/simulacro/drills"

// SentinelFailover asks Redis Sentinel for a failover although the primary is well.
type SentinelFailover struct{}

func sentinelFailoverKind() drills.Kind {
	return kindOf(drills.Info{
		Kind:     "sentinel-failover",
		Summary:  "Ask Redis Sentinel to move the primary role, without asking the other sentinels",
		Class:    drills.ClassHeals,
		Verbs:    []string{verbRedisFailover},
		Duration: "none",
		Proof:    "a sentinel names another primary",
		Undo:     "none: the old primary becomes a replica by itself",
	}, func() *SentinelFailover { return new(SentinelFailover) })
}

// Plan moves the role away from the targeted primary.
func (*SentinelFailover) Plan(s drills.Scene) ([]drills.Change, error) {
	m, src, err := roleSource(s, "sentinel-failover", "sentinel")
	if err != nil {
		return nil, err
	}
	args := redisFailoverArgs{Mark: mark(s, m), Sentinels: src.Addresses, Master: src.Master, From: nodeOf(m), Within: moveWithin, Auth: src.SentinelAuth}
	return each(s, plan{class: drills.ClassHeals, do: verbRedisFailover, doArgs: args})
}
