package journal

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// reserved is what restoring may need to say: some hundred undo events and the record.
const reserved = 4 << 20

// reserve is space set aside for the journal. Once released, raw samples are no longer written: they would eat it.
type reserve struct {
	path string
	mu   sync.Mutex
	gone bool
}

// take sets the space aside where the file system can; where it cannot, the run goes on without.
func (s *reserve) take() {
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, reserved)
	_ = f.Close()
	if err != nil {
		s.drop()
	}
}

// release frees the space when err says that there is none left.
func (s *reserve) release(err error) {
	if !full(err) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	s.drop()
}

func (s *reserve) released() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

func (s *reserve) drop() { _ = os.Remove(s.path) }
