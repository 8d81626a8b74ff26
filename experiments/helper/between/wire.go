package between

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// What passes is copied as it came, so this file reads messages without rewriting them.

// maxHead bounds a head; what is longer is not taken for HTTP.
const maxHead = 1 << 20

var errNotHTTP = errors.New("not HTTP/1.x")

// startsLikeHTTP looks at the first bytes, as they come, for a method. It never waits for more than it needs, so that a
// protocol in which the asker now waits is not held up.
func startsLikeHTTP(r *bufio.Reader) (bool, error) {
	const longestMethod = 20
	for n := 1; n <= longestMethod; n++ {
		b, err := r.Peek(n)
		if err != nil {
			return false, err
		}
		switch c := b[n-1]; {
		case c == ' ' && n > 1:
			return true, nil
		case c < 'A' || c > 'Z':
			return false, nil
		}
	}
	return false, nil
}

// readHead reads up to and with the empty line. What it has read is returned with an error too.
func readHead(r *bufio.Reader) ([]byte, error) {
	var head []byte
	for {
		line, err := r.ReadSlice('\n')
		head = append(head, line...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(head) < maxHead:
			continue
		case err != nil:
			return head, err
		case len(head) >= maxHead:
			return head, errNotHTTP
		case len(bytes.TrimRight(line, "\r\n")) == 0 && len(head) > len(line):
			return head, nil
		}
	}
}

func parseRequest(head []byte) (*http.Request, error) {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return nil, err
	}
	if req.ProtoMajor != 1 {
		return nil, errNotHTTP
	}
	return req, nil
}

func parseResponse(head []byte, req *http.Request) (*http.Response, error) {
	// Its body is not there: it is copied by ourselves.
	return http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), req)
}

// framing is how a message's end is known.
type framing struct {
	chunked bool
	length  int64 // else; -1: until the connection closes
}

func (f framing) empty() bool { return !f.chunked && f.length == 0 }

func requestFraming(r *http.Request) framing {
	return framing{chunked: chunked(r.TransferEncoding), length: max(0, r.ContentLength)}
}

func responseFraming(r *http.Response, method string) framing {
	if method == http.MethodHead || r.StatusCode < 200 || r.StatusCode == http.StatusNoContent || r.StatusCode == http.StatusNotModified {
		return framing{}
	}
	return framing{chunked: chunked(r.TransferEncoding), length: r.ContentLength}
}

func chunked(codings []string) bool { return len(codings) > 0 && codings[0] == "chunked" }

// payload takes a body's bytes as they pass, without the framing; an error of its ends the copy before they are written.
// It may change them and may let only the first of them through.
type payload func(b []byte) (pass int, err error)

func untouched(b []byte) (int, error) { return len(b), nil }

// copyBody copies a body with its framing.
func copyBody(dst io.Writer, src *bufio.Reader, f framing, p payload) error {
	if !f.chunked {
		return copySome(dst, src, f.length, p)
	}
	for {
		line, err := src.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("a chunk's size: %w", err)
		}
		size, _, _ := strings.Cut(strings.TrimSpace(string(line)), ";")
		n, err := strconv.ParseInt(strings.TrimSpace(size), 16, 63)
		if err != nil {
			return fmt.Errorf("a chunk's size: %w", err)
		}
		if _, err := dst.Write(line); err != nil {
			return err
		}
		if n == 0 {
			return copyTrailer(dst, src)
		}
		if err := copySome(dst, src, n, p); err != nil {
			return err
		}
		if err := copySome(dst, src, 2, untouched); err != nil { // the line's end after it
			return err
		}
	}
}

func copyTrailer(dst io.Writer, src *bufio.Reader) error {
	for {
		line, err := src.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("a trailer: %w", err)
		}
		if _, err := dst.Write(line); err != nil {
			return err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return nil
		}
	}
}

// copySome copies n bytes, or all when n is negative, each piece as soon as it is there.
func copySome(dst io.Writer, src *bufio.Reader, n int64, p payload) error {
	buf := make([]byte, min(uint64(n), 32<<10)) // a negative n is a large number
	for n != 0 {
		if n > 0 {
			buf = buf[:min(int64(len(buf)), n)]
		}
		k, err := src.Read(buf)
		if k > 0 {
			pass, perr := p(buf[:k])
			if _, werr := dst.Write(buf[:pass]); werr != nil || perr != nil {
				return errors.Join(perr, werr)
			}
			if n > 0 {
				n -= int64(k)
			}
		}
		switch {
		case errors.Is(err, io.EOF) && n < 0:
			return nil
		case errors.Is(err, io.EOF) && n > 0:
			return io.ErrUnexpectedEOF
		case err != nil && n != 0:
			return err
		}
	}
	return nil
}

// resized is a head whose body will have n bytes, not encoded; every other line stays.
func resized(head []byte, n int) []byte {
	var out []byte
	for line := range bytes.Lines(head) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		switch strings.ToLower(string(bytes.TrimSpace(name))) {
		case "content-length", "transfer-encoding", "content-encoding", "trailer":
			continue
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			out = append(out, fmt.Sprintf("Content-Length: %d\r\n", n)...)
		}
		out = append(out, line...)
	}
	return out
}

// bytes writes the answer that a rule gives. keep tells the asker whether the connection goes on.
func (s Status) bytes(method string, keep bool) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", s.Code, http.StatusText(s.Code))
	h := http.Header{}
	if s.Body != "" {
		h.Set("Content-Type", http.DetectContentType([]byte(s.Body)))
		if strings.HasPrefix(strings.TrimSpace(s.Body), "{") {
			h.Set("Content-Type", "application/json")
		}
	}
	if s.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(s.RetryAfter.D().Seconds())))
	}
	for k, v := range s.Headers {
		h.Set(k, v)
	}
	if s.Code != http.StatusNoContent && s.Code != http.StatusNotModified {
		h.Set("Content-Length", strconv.Itoa(len(s.Body)))
	}
	if !keep {
		h.Set("Connection", "close")
	}
	_ = h.Write(&b) // a buffer never fails
	b.WriteString("\r\n")
	if method != http.MethodHead {
		b.WriteString(s.Body)
	}
	return b.Bytes()
}
