// Package server is the HTTP face of the service: routes, authentication, limits, metrics and the
// WebSocket handshake. It reaches PostgreSQL and Redis only through small interfaces and always behind
// their circuit breakers.
package server
