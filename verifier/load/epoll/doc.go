// Package epoll holds many plain ws:// connections on one thread: a client for load, not a general WebSocket library.
//
// One Loop is one epoll descriptor, one operating-system thread and one flat slice of connection states without
// pointers, so that an idle connection costs some forty bytes here beside its socket, and the garbage collector nothing.
// Every socket is read into the same buffer of 64 KiB and its frames are handled in place; only what is unfinished (a
// frame cut by the read, the fragments of a message) is kept on the heap until the rest is there.
//
// What it does of RFC 6455: the opening handshake with Sec-WebSocket-Accept checked, masked frames out, unmasked frames
// in, fragmentation with control frames in between, ping answered by pong, the closing handshake in both directions, and
// UTF-8: a text message or close reason that is not valid UTF-8 ends the connection with 1007. A protocol error ends it
// with 1002, a message beyond the limit with 1009. Lengths that are not minimally encoded are accepted, as gorilla and
// gobwas do. No extensions, no TLS.
package epoll
