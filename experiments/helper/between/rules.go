package between

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// Protocols that a proxy reads.
const (
	HTTP = "http" // requests and answers of HTTP/1.0 and 1.1
	TCP  = "tcp"  // turns: whatever one side sends until the other answers; TLS too, since nothing is understood
)

// How an exchange is broken off.
const (
	Reset      = "reset"       // the connection is reset before the request has gone on
	Close      = "close"       // it is closed without an answer, before the request has gone on
	LoseAnswer = "lose-answer" // the request goes on and is answered; the answer is lost with the connection
)

// Rule says which exchanges are meant, how many of them, and what becomes of those. The first rule that matches decides.
type Rule struct {
	Match Match           `json:"match,omitzero"`
	Share float64         `json:"share"`           // of those that match, 0..1
	Delay drills.Duration `json:"delay,omitempty"` // the answer comes so much later; the request goes on at once
	// At most one of these; without any, the delay is all.
	Status *Status `json:"status,omitempty"` // answered here, without asking the dependency
	Abort  string  `json:"abort,omitempty"`
	Body   *Body   `json:"body,omitempty"`
}

// Match is what a request must be like. Everything given must fit; nothing given is every request.
type Match struct {
	Method  string            `yaml:"method" json:"method,omitempty"`
	Path    string            `yaml:"path" json:"path,omitempty"`       // without the query; * is any run of characters, slashes too
	Host    string            `yaml:"host" json:"host,omitempty"`       // without the port; with * as in *.example.org
	Headers map[string]string `yaml:"headers" json:"headers,omitempty"` // values with *
}

// Status is an answer of our own.
type Status struct {
	Code       int               `yaml:"code" json:"code"`
	RetryAfter drills.Duration   `yaml:"retry-after" json:"retry_after,omitempty"` // whole seconds
	Headers    map[string]string `yaml:"headers" json:"headers,omitempty"`
	Body       string            `yaml:"body" json:"body,omitempty"`
}

// Body is what becomes of the dependency's own answer; exactly one.
type Body struct {
	Replace  *string `yaml:"replace" json:"replace,omitempty"`
	Truncate *int64  `yaml:"truncate" json:"truncate,omitempty"` // so many bytes, then the connection closes
	Corrupt  float64 `yaml:"-" json:"corrupt,omitempty"`         // share of its bytes in which one bit is flipped, the first one always
}

// maxDelay bounds what an exchange may be held.
const maxDelay = 10 * time.Minute

// Validate checks the rules for a protocol; the error names each fault in them.
func Validate(protocol string, rules []Rule) error {
	if protocol != HTTP && protocol != TCP {
		return fmt.Errorf("protocol %q is not http or tcp", protocol)
	}
	if len(rules) == 0 {
		return errors.New("at least one rule is needed")
	}
	var errs []error
	for i, r := range rules {
		err := r.validate()
		if err == nil && protocol == TCP {
			err = r.blind()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("rule %d: %w", i+1, err))
		}
	}
	return errors.Join(errs...)
}

// blind refuses what needs the exchange to be understood.
func (r Rule) blind() error {
	if r.Status != nil || r.Body != nil || !r.Match.empty() {
		return errors.New("match, status and body need HTTP that can be read; what is encrypted or another protocol can only be delayed or aborted")
	}
	return nil
}

func (r Rule) validate() error {
	var errs []error
	if !(r.Share > 0) || r.Share > 1 {
		errs = append(errs, fmt.Errorf("share %v is not within (0, 1]", r.Share))
	}
	if r.Delay < 0 || r.Delay.D() > maxDelay {
		errs = append(errs, fmt.Errorf("delay %s is not between 0 and %s", r.Delay, maxDelay))
	}
	n := 0
	if r.Status != nil {
		n++
		errs = append(errs, r.Status.validate())
	}
	if r.Body != nil {
		n++
		errs = append(errs, r.Body.validate())
	}
	if r.Abort != "" {
		n++
		if !slices.Contains([]string{Reset, Close, LoseAnswer}, r.Abort) {
			errs = append(errs, fmt.Errorf("abort %q is not reset, close or lose-answer", r.Abort))
		}
	}
	if n > 1 || n == 0 && r.Delay == 0 {
		errs = append(errs, errors.New("give a delay, or one of status, abort and body, or a delay and one of them"))
	}
	for _, pattern := range append([]string{r.Match.Path, r.Match.Host}, slices.Collect(values(r.Match.Headers))...) {
		if _, err := path.Match(pattern, ""); err != nil {
			errs = append(errs, fmt.Errorf("match: %q is not a pattern", pattern))
		}
	}
	return errors.Join(errs...)
}

func values(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

func (s Status) validate() error {
	if s.Code < 200 || s.Code > 599 {
		return fmt.Errorf("status: code %d is not the status of a final answer (200 to 599)", s.Code)
	}
	if s.Body != "" && (s.Code == http.StatusNoContent || s.Code == http.StatusNotModified) {
		return fmt.Errorf("status: an answer %d has no body", s.Code)
	}
	if s.RetryAfter < 0 || s.RetryAfter.D()%time.Second != 0 {
		return fmt.Errorf("status: retry-after %s is not in whole seconds", s.RetryAfter)
	}
	for k, v := range s.Headers {
		if strings.ContainsAny(k+v, "\r\n") || strings.ContainsAny(k, ": ") || k == "" {
			return fmt.Errorf("status: %q: %q cannot be a header", k, v)
		}
	}
	return nil
}

func (b Body) validate() error {
	n := 0
	if b.Replace != nil {
		n++
	}
	if b.Truncate != nil {
		n++
		if *b.Truncate < 0 {
			return fmt.Errorf("body: truncate %d is negative", *b.Truncate)
		}
	}
	if b.Corrupt != 0 {
		n++
		if !(b.Corrupt > 0) || b.Corrupt > 1 {
			return fmt.Errorf("body: corrupt %v is not within (0, 1]", b.Corrupt)
		}
	}
	if n != 1 {
		return errors.New("body: give one of replace, truncate and corrupt")
	}
	return nil
}

func (m Match) empty() bool {
	return m.Method == "" && m.Path == "" && m.Host == "" && len(m.Headers) == 0
}

// matcher is a match ready for use.
type matcher struct {
	method     string
	path, host *regexp.Regexp
	headers    map[string]*regexp.Regexp
}

func newMatcher(m Match) matcher {
	out := matcher{method: m.Method, path: glob(m.Path), host: glob(strings.ToLower(m.Host)), headers: map[string]*regexp.Regexp{}}
	for k, v := range m.Headers {
		out.headers[k] = glob(v)
	}
	return out
}

// glob is nil for "" and else matches the whole text.
func glob(pattern string) *regexp.Regexp {
	if pattern == "" {
		return nil
	}
	return regexp.MustCompile(`(?s)^` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `$`) // always a good expression
}

func (m matcher) fits(r *http.Request) bool {
	host, _, found := strings.Cut(strings.ToLower(r.Host), ":")
	if found && strings.HasPrefix(r.Host, "[") {
		host = r.Host
	}
	if m.method != "" && m.method != r.Method || m.path != nil && !m.path.MatchString(r.URL.Path) || m.host != nil && !m.host.MatchString(host) {
		return false
	}
	for k, v := range m.headers {
		if !slices.ContainsFunc(r.Header.Values(k), v.MatchString) {
			return false
		}
	}
	return true
}
