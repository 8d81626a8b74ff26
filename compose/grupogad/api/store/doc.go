// Package store is the service's PostgreSQL/PostGIS side: a small pool with short timeouts, the schema
// with its deterministic seed, and one method per query. Every query is timed in
// query_duration_seconds. Mistakes of the client come back as apierr.Error with a 4xx; anything else
// is a failure of the database.
package store
