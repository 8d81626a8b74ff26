package compose

import (
	"bufio"
	"io"
	"strconv"
	"testing"
	"time"
)

// lines are what a child process prints.
type lines struct{ c chan string }

func readLines(r io.Reader) *lines {
	l := &lines{c: make(chan string, 16)}
	go func() {
		defer close(l.c)
		for s := bufio.NewScanner(r); s.Scan(); {
			l.c <- s.Text()
		}
	}()
	return l
}

func (l *lines) next(t *testing.T, limit time.Duration) string {
	t.Helper()
	select {
	case s := <-l.c:
		return s
	case <-time.After(limit):
		t.Fatalf("no output within %v", limit)
	}
	return ""
}

func itoa(n int) string { return strconv.Itoa(n) }
