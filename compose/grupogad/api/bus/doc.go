// Package bus is everything the service does with Redis: it follows the master that Sentinel names,
// publishes and receives broadcasts, and keeps the statistics cache.
//
// It follows Sentinel itself instead of using go-redis's FailoverClient, for two reasons that a drill
// would stumble on: FailoverClient moves its command connections when the master changes but leaves a
// PubSub connection on the old master for as long as that one answers (a partition), and it believes
// the one Sentinel it is connected to, which may be on the wrong side. Here all Sentinels are asked and
// the newest configuration epoch wins, and a change of master closes every old connection at once.
package bus
