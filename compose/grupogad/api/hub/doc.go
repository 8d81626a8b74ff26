// Package hub keeps the WebSocket connections of one instance: it registers them, knows their topics,
// fans messages out and measures what was really sent.
//
// One goroutine per connection reads; a second one exists only while there is something to write. An
// idle connection therefore costs one small stack and a few hundred bytes, and five thousand of them
// fit beside everything else. Every connection has its own bounded queue: a consumer that cannot keep
// up is dropped and counted, and no other one waits for it.
package hub
