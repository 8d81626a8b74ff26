package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	fileName = "notifications.jsonl"
	// defaultMaxFile is when the file is set aside (one older generation is kept), so that a stack left running
	// cannot fill the disk.
	defaultMaxFile = 32 << 20
	maxLine        = 4 << 20
)

// notification is one webhook call, with the alerts exactly as Alertmanager sent them.
type notification struct {
	ReceivedAt     time.Time       `json:"received_at"`
	ReceivedUnixNs int64           `json:"received_unix_ns"`
	Status         string          `json:"status"`
	Receiver       string          `json:"receiver"`
	GroupKey       string          `json:"groupKey"`
	Alerts         json.RawMessage `json:"alerts"`
}

// recorder keeps the last notifications in memory and, if it has a directory, on disk. A disk that does
// not take them is logged; it never costs the record in memory.
type recorder struct {
	keep int
	dir  string
	log  *zap.Logger
	max  int64 // bytes in the file before it is set aside

	mu   sync.Mutex
	list []notification // oldest first
	file *os.File
	size int64
}

func newRecorder(keep int, dir string, log *zap.Logger) *recorder {
	r := &recorder{keep: keep, dir: dir, log: log, max: defaultMaxFile}
	if dir == "" {
		return r
	}
	if err := r.load(); err != nil {
		log.Warn("earlier notifications could not be read", zap.Error(err))
	}
	if err := r.open(); err != nil {
		log.Warn("notifications are kept in memory only", zap.Error(err))
	}
	return r
}

func (r *recorder) path() string { return filepath.Join(r.dir, fileName) }

func (r *recorder) open() error {
	f, err := os.OpenFile(r.path(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open record: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("size of record: %w", err), f.Close())
	}
	r.file, r.size = f, st.Size()
	return nil
}

// load reads back what an earlier process recorded. A torn last line (killed while writing) is left out.
func (r *recorder) load() error {
	f, err := os.Open(r.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open record: %w", err)
	}
	defer f.Close() // read only
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var n notification
		if json.Unmarshal(lines.Bytes(), &n) == nil {
			r.remember(n)
		}
	}
	return lines.Err()
}

func (r *recorder) add(n notification) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remember(n)
	if r.file == nil {
		return
	}
	if err := r.write(n); err != nil {
		r.log.Warn("notification not written to disk", zap.Error(err))
	}
}

// remember drops the oldest half-generation at a time, so that keeping the bound costs little.
func (r *recorder) remember(n notification) {
	r.list = append(r.list, n)
	if len(r.list) >= r.keep+r.keep/4+1 {
		r.list = append([]notification(nil), r.list[len(r.list)-r.keep:]...)
	}
}

func (r *recorder) write(n notification) error {
	line, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if r.size > r.max {
		if err := r.rotate(); err != nil {
			return err
		}
	}
	written, err := r.file.Write(append(line, '\n'))
	r.size += int64(written)
	return err
}

func (r *recorder) rotate() error {
	err := r.file.Close()
	r.file = nil
	if err := errors.Join(err, os.Rename(r.path(), r.path()+".1")); err != nil {
		return fmt.Errorf("set record aside: %w", err)
	}
	return r.open()
}

// since returns the notifications received after the given Unix time in nanoseconds, oldest first.
func (r *recorder) since(ns int64) []notification {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []notification{}
	for _, n := range r.list[max(0, len(r.list)-r.keep):] {
		if n.ReceivedUnixNs > ns {
			out = append(out, n)
		}
	}
	return out
}

func (r *recorder) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return
	}
	if err := r.file.Close(); err != nil {
		r.log.Warn("record not closed cleanly", zap.Error(err))
	}
	r.file = nil
}
