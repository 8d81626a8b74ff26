package epoll

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// maxAnswer bounds the server's answer to the handshake.
const maxAnswer = 16 << 10

// acceptMagic is the constant of RFC 6455 section 1.3.
const acceptMagic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// StatusError is a handshake that was answered with another status than 101.
type StatusError int

func (e StatusError) Error() string { return fmt.Sprintf("handshake answered %d", int(e)) }

// nonce makes the key of a handshake from what is known of it, so that nothing has to be kept until the answer comes:
// the same secret, connection and attempt give the same key again.
func nonce(secret [2]uint64, id int, attempt uint16) string {
	r := rand.NewPCG(secret[0]^uint64(id), secret[1]^uint64(attempt)<<32)
	var b [16]byte
	for i := range 2 {
		for j, v := 0, r.Uint64(); j < 8; j++ {
			b[i*8+j] = byte(v >> (8 * j))
		}
	}
	return base64.StdEncoding.EncodeToString(b[:])
}

func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + acceptMagic))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// appendRequest appends the opening handshake. extra is whole header lines, each with its end.
func appendRequest(b []byte, path, host, key, extra string) []byte {
	b = append(b, "GET "...)
	b = append(b, path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "...)
	b = append(b, key...)
	b = append(b, "\r\n"...)
	b = append(b, extra...)
	return append(b, "\r\n"...)
}

// parseAnswer reads the answer to the handshake; size is its length, zero while it is not all there.
func parseAnswer(b []byte, key string) (size int, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > maxAnswer {
			return 0, ProtocolError{codeProtocol, fmt.Sprintf("answer to the handshake of more than %d bytes", maxAnswer)}
		}
		return 0, nil
	}
	status, rest, _ := strings.Cut(string(b[:end]), "\r\n")
	if err := parseStatus(status); err != nil {
		return 0, err
	}
	var upgrade, connection, accept bool
	for rest != "" {
		var line string
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "upgrade":
			upgrade = strings.EqualFold(value, "websocket")
		case "connection":
			connection = strings.Contains(strings.ToLower(value), "upgrade")
		case "sec-websocket-accept":
			accept = value == acceptOf(key)
		case "sec-websocket-extensions":
			return 0, ProtocolError{codeProtocol, "an extension that nobody asked for"}
		}
	}
	if !upgrade || !connection || !accept {
		return 0, ProtocolError{codeProtocol, fmt.Sprintf("answer to the handshake without what it must say (upgrade %t, connection %t, accept %t)", upgrade, connection, accept)}
	}
	return end + 4, nil
}

func parseStatus(line string) error {
	version, rest, _ := strings.Cut(line, " ")
	digits, _, _ := strings.Cut(rest, " ")
	code, err := strconv.Atoi(digits)
	if !strings.HasPrefix(version, "HTTP/1.") || err != nil || len(digits) != 3 {
		return ProtocolError{codeProtocol, "the answer to the handshake is not HTTP"}
	}
	if code != 101 {
		return StatusError(code)
	}
	return nil
}
