// Package load saturates a system and says honestly what came of it.
//
// The WebSocket engine is a process of its own (WebSocketMain): it opens connections along a ramp, holds them,
// publishes numbered messages on an absolute schedule and times each delivery from the instant the message was
// due, so that a generator or a target that falls behind cannot hide it (no coordinated omission). Which messages
// a connection should have got is fixed when each one is published: the connections open and subscribed then.
//
// What the target could not do (refused, answered 5xx, closed, delivered late) and what the generator could not do
// (out of sockets, late itself, out of CPU) are reported apart; a generator at its limit measures itself.
package load
