// Package store is what harms a Redis or a PostgreSQL from the side of its clients: settings changed for a while, sessions,
// transactions, locks and load that are held. It runs as an agent beside the store (Main), which undoes itself at the end of
// its stream, at "stop" and at the end of its lease; whoever has the spec can inspect and undo from another process (Open).
// It knows no Docker.
package store
