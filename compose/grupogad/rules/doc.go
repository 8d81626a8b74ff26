// Command rules writes what Prometheus and Alertmanager of the reference system read: scrape jobs, alert
// rules and routing, all generated from one table (catalogue.go).
//
// There are two sets with the same expressions. "blueprint" has the blueprint's own durations (Tablas 4 and
// 16: minutes), "fast" the same rules in seconds, for CI and for drills that somebody waits for. Both watch
// the service. What the real system gets wrong is a defect that can be switched on by name:
// "up-of-exporter" is the literal `up{job=…} == 0`, which never fires while the exporter lives, and
// "missing-metric:<Alert>" lets one rule stand on a metric that nobody exposes.
// Every rule says in its labels which set and which defects it belongs to, so that a record can tell.
package main
