package helper

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

const (
	// readWait is how often the reader looks whether it should end.
	readWait = 100 * time.Millisecond
	// batch is how many bytes of verdicts go to the kernel at once.
	batch = 32 << 10
	// forgetFlows is how many flows are remembered before those that wait for nothing are forgotten.
	forgetFlows = 1 << 14
)

// Traffic is what a fault did to the packets that met it, since it came into force.
type Traffic struct {
	Seen     uint64  `json:"seen"`     // packets
	Affected uint64  `json:"affected"` // of them, packets that the fault did something to
	Dropped  uint64  `json:"dropped"`
	Share    float64 `json:"share"`       // affected of seen
	Bytes    uint64  `json:"bytes"`       // seen
	HoldP50  int64   `json:"hold_p50_us"` // how long packets really were held, µs
	HoldP99  int64   `json:"hold_p99_us"`
	HoldMax  int64   `json:"hold_max_us"`
	LateMean int64   `json:"late_mean_us"` // how much later than asked, µs
	Escaped  uint64  `json:"escaped"`      // times that the kernel let packets pass because the queue could not keep up
	Waiting  int64   `json:"waiting"`      // now

	late     time.Duration // in all
	answered int64
}

// due is one packet with its verdict and its time.
type due struct {
	verdict
	arrived, at time.Time
	seq         uint64 // ties leave in the order in which they came
}

type dues []due

func (d dues) Len() int { return len(d) }
func (d dues) Less(i, j int) bool {
	if d[i].at.Equal(d[j].at) {
		return d[i].seq < d[j].seq
	}
	return d[i].at.Before(d[j].at)
}
func (d dues) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *dues) Push(x any)   { *d = append(*d, x.(due)) }
func (d *dues) Pop() any {
	old := *d
	last := old[len(old)-1]
	*d = old[:len(old)-1]
	return last
}

// shaper takes packets from a queue, decides on each, and gives the verdicts when they are due. Two goroutines: one reads
// and decides, one waits and answers.
type shaper struct {
	queue  *queue
	effect effect
	rng    *rand.Rand
	flows  map[flow]time.Time // when the flow's last packet leaves
	seq    uint64
	ready  chan due
	stop   atomic.Bool
	open   atomic.Bool   // nothing waits any more
	wake   chan struct{} // of the goroutine that answers
	ended  chan struct{} // it has
	done   sync.WaitGroup

	counting atomic.Bool // packets before that are shaped, not counted

	mu    sync.Mutex
	total Traffic
	holds *hdrhistogram.Histogram // µs
}

func newShaper(q *queue, e effect, seed uint64) *shaper {
	s := &shaper{
		queue: q, effect: e, rng: rand.New(rand.NewPCG(seed, 0)), flows: map[flow]time.Time{},
		wake: make(chan struct{}), ended: make(chan struct{}),
		ready: make(chan due, queueLength), holds: hdrhistogram.New(1, int64(10*time.Minute/time.Microsecond), 3),
	}
	s.done.Go(s.read)
	s.done.Go(s.answer)
	return s
}

// read ends at stop, or when the socket is broken.
func (s *shaper) read() {
	defer close(s.ready)
	buf := make([]byte, 1<<17)
	for !s.stop.Load() {
		n, _, err := unix.Recvfrom(s.queue.fd, buf, 0)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			s.mu.Lock()
			s.total.Escaped++
			s.mu.Unlock()
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		case err != nil:
			return
		default:
			now := time.Now()
			// A datagram that cannot be read holds packets that we cannot name: the kernel keeps them until the socket closes.
			_ = readQueued(buf[:n], func(q queued) { s.ready <- s.decide(q, now) })
		}
	}
}

// decide makes the verdict and keeps the order within the flow.
func (s *shaper) decide(q queued, now time.Time) due {
	p, ok := parse(q.data)
	var v verdict
	if ok && !s.open.Load() {
		v = s.effect.decide(p, q.hook == hookIn, now, s.rng)
	}
	v.id = q.id
	s.seq++
	d := due{verdict: v, arrived: now, at: now.Add(v.hold), seq: s.seq}
	if !v.overtak && !v.drop {
		d.at = s.inOrder(p.flow, d.at, now)
	}
	s.count(p.length, v)
	return d
}

// inOrder is never before the packet in front in the same flow.
func (s *shaper) inOrder(f flow, at, now time.Time) time.Time {
	if last := s.flows[f]; last.After(at) {
		at = last
	}
	if len(s.flows) >= forgetFlows {
		for f, last := range s.flows {
			if last.Before(now) {
				delete(s.flows, f)
			}
		}
	}
	s.flows[f] = at
	return at
}

func (s *shaper) count(length int, v verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total.Waiting++
	if !s.counting.Load() {
		return
	}
	s.total.Seen++
	s.total.Bytes += uint64(length)
	if v.touched {
		s.total.Affected++
	}
	if v.drop {
		s.total.Dropped++
	}
}

// answer gives verdicts at their time; at the end of the packets it gives all that are left at once.
func (s *shaper) answer() {
	defer close(s.ended)
	var waiting dues
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		if s.open.Load() {
			s.release(&waiting, now.Add(24*time.Hour))
		}
		s.release(&waiting, now)
		next := time.Hour
		if len(waiting) > 0 {
			next = waiting[0].at.Sub(now)
		}
		timer.Reset(next)
		select {
		case d, ok := <-s.ready:
			if !ok {
				s.release(&waiting, now.Add(24*time.Hour))
				return
			}
			heap.Push(&waiting, d)
			s.drain(&waiting)
		case <-timer.C:
		case <-s.wake:
		}
	}
}

// letPass lets go of all that waits, in order, and from then on of everything at once. It has to come before the rules go:
// with the last rule of a hook the kernel drops what it still has queued there, and senders wait for their retransmission.
func (s *shaper) letPass() {
	s.open.Store(true)
	for range 2 { // it comes back for the second once it has done what the first one woke it for
		select {
		case s.wake <- struct{}{}:
		case <-s.ended:
			return
		}
	}
}

// drain takes what has come meanwhile, so that verdicts go out in batches.
func (s *shaper) drain(waiting *dues) {
	for range 1024 {
		select {
		case d, ok := <-s.ready:
			if !ok {
				return
			}
			heap.Push(waiting, d)
		default:
			return
		}
	}
}

func (s *shaper) release(waiting *dues, now time.Time) {
	var out []byte
	for len(*waiting) > 0 && !(*waiting)[0].at.After(now) {
		d := heap.Pop(waiting).(due)
		out = append(out, verdictOn(s.queue.number, d.verdict)...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
		s.left(d, now)
		if len(out) >= batch {
			_ = s.queue.send(out) // what the kernel does not take waits until the socket closes
			out = out[:0]
		}
	}
	if len(out) > 0 {
		_ = s.queue.send(out)
	}
}

func (s *shaper) left(d due, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total.Waiting--
	if d.drop || s.open.Load() || s.stop.Load() || !s.counting.Load() {
		return
	}
	_ = s.holds.RecordValue(max(1, now.Sub(d.arrived).Microseconds())) // beyond ten minutes nothing waits
	s.total.late += now.Sub(d.at)
	s.total.answered++
}

// state is what happened so far.
func (s *shaper) state() Traffic {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.total
	if t.Seen > 0 {
		t.Share = float64(t.Affected) / float64(t.Seen)
	}
	t.HoldP50, t.HoldP99, t.HoldMax = s.holds.ValueAtQuantile(50), s.holds.ValueAtQuantile(99), s.holds.Max()
	if t.answered > 0 {
		t.LateMean = t.late.Microseconds() / t.answered
	}
	return t
}

// recent is the mean lateness since an earlier state.
func (t Traffic) recent(before Traffic) time.Duration {
	n := t.answered - before.answered
	if n <= 0 {
		return 0
	}
	return (t.late - before.late) / time.Duration(n)
}

// close releases all that waits, and ends both goroutines and the queue. The rules should be gone by then.
func (s *shaper) close() error {
	s.stop.Store(true)
	s.done.Wait()
	return s.queue.close()
}
