package journal

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/eevans-d/simulacro/drills"
)

// flushEvery bounds what a killed process takes with it.
const flushEvery = time.Second

type rawFiles struct {
	dir   string
	space *reserve
	mu    sync.Mutex
	files map[string]*sample
}

// sample is one raw file being written.
type sample struct {
	name    string
	space   *reserve
	mu      sync.Mutex
	f       *os.File
	buf     *bufio.Writer
	sum     hash.Hash
	flushed time.Time
	closed  bool
	err     error // the first one; it stays
}

// Create makes the raw file; a name can be used once per run. Writes are buffered for at most a second.
func (r *Run) Create(name string) (io.WriteCloser, error) {
	if name == "" || name != filepath.Base(name) || name[0] == '.' {
		return nil, drills.Errorf(drills.Internal, "", "%q is no name for a raw file", name)
	}
	f, err := os.OpenFile(filepath.Join(r.raw.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		r.space.release(err)
		return nil, diskError(err, "raw file "+name+" cannot be made", r.dir)
	}
	s := &sample{name: name, space: r.space, f: f, sum: sha256.New(), flushed: time.Now()}
	s.buf = bufio.NewWriterSize(io.MultiWriter(f, s.sum), 1<<16)
	r.raw.mu.Lock()
	defer r.raw.mu.Unlock()
	r.raw.files[name] = s
	return s, nil
}

// Write adds samples. After the first error every call returns it.
func (s *sample) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if s.closed {
		return 0, os.ErrClosed
	}
	if s.space.released() {
		return 0, s.fail(unix.ENOSPC)
	}
	n, err := s.buf.Write(b)
	if err == nil && time.Since(s.flushed) >= flushEvery {
		err = s.buf.Flush()
		s.flushed = time.Now()
	}
	if err != nil {
		return n, s.fail(err)
	}
	return n, nil
}

func (s *sample) fail(err error) error {
	s.space.release(err)
	s.err = diskError(err, "raw file cannot be written", s.name)
	return s.err
}

// Close flushes and syncs. An error says that the file is not complete.
func (s *sample) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.err
	}
	s.closed = true
	var err error
	if s.err == nil {
		err = s.buf.Flush()
	}
	if err = errors.Join(err, s.f.Sync(), s.f.Close()); err != nil && s.err == nil {
		return s.fail(err)
	}
	return s.err
}

func (s *sample) digest() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		return "", drills.Errorf(drills.Internal, "", "raw file %s is still being written", s.name)
	}
	return hex.EncodeToString(s.sum.Sum(nil)), s.err
}

// Digest is the SHA-256 of a closed raw file, as it was written; of a file of an earlier process, as it is now.
func (r *Run) Digest(name string) (string, error) {
	r.raw.mu.Lock()
	s := r.raw.files[name]
	r.raw.mu.Unlock()
	if s != nil {
		return s.digest()
	}
	return FileDigest(filepath.Join(r.raw.dir, filepath.Base(name)))
}

// FileDigest is the SHA-256 of a file, hex.
func FileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", drills.Wrap(drills.Input, err, "raw file "+filepath.Base(path)+" is not there", "")
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", diskError(err, "raw file cannot be read", path)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (r *rawFiles) closeAll() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, s := range r.files {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
