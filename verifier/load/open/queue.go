package open

import "sync"

// queue is the backlog of due operations. Since operation k is due at a time that k alone decides, two counters are the
// whole queue, however long it grows.
type queue struct {
	mu     sync.Mutex
	wake   sync.Cond
	next   int64 // the first operation that nobody has taken
	due    int64 // how many are due
	idle   int   // workers that wait
	most   int64 // longest backlog
	closed bool
}

func newQueue() *queue {
	q := new(queue)
	q.wake.L = &q.mu
	return q
}

// release tells that so many operations are due by now, counted from the first.
func (q *queue) release(due int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	fresh := due - q.due
	if fresh <= 0 {
		return
	}
	q.due = due
	for range min(fresh, int64(q.idle)) {
		q.wake.Signal() // the worker that has waited longest: connections are used in turn
	}
	q.most = max(q.most, q.due-q.next-int64(q.idle))
}

// take waits for due operations and takes up to n of them. waited: a worker was free when they became due, so what passes
// until they are sent is the generator's own lateness. It is false at the end, when nothing is due any more.
func (q *queue) take(n int64) (first, count int64, waited, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.next >= q.due {
		if q.closed {
			return 0, 0, false, false
		}
		waited = true
		q.idle++
		q.wake.Wait()
		q.idle--
	}
	first, count = q.next, min(n, q.due-q.next)
	q.next += count
	return first, count, waited, true
}

// close lets workers end once the backlog is empty.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake.Broadcast()
}

// abandon empties the backlog and returns what was in it.
func (q *queue) abandon() (first, count int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	first, count = q.next, q.due-q.next
	q.next = q.due
	return first, count
}

// backlog is how many operations are due and not taken; most is the longest that it was.
func (q *queue) backlog() (now, most int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.due - q.next, q.most
}
