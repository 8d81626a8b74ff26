package verifier

import (
	"fmt"

	"github.com/eevans-d/simulacro/drills"
)

// newChecker makes the checker of a spec.
func newChecker(name string, s drills.ProbeSpec) (checker, error) {
	switch s.Kind {
	case "http", "https":
		return newHTTPCheck(s)
	case "tcp":
		return newTCPCheck(s), nil
	case "redis":
		return newRedisCheck(name, s)
	case "postgres":
		return newPGCheck(s)
	case "websocket":
		return newWebSocketCheck(s)
	case "command":
		return newCommandCheck(s)
	}
	return nil, fmt.Errorf("no probe of kind %q: want http, tcp, redis, postgres, websocket or command", s.Kind)
}
