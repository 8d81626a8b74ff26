package epoll

// state of a connection.
type state uint8

const (
	idle       state = iota // before its first attempt, or between an end and what comes next
	waiting                 // for a place among the handshakes in flight
	resting                 // backing off
	connecting              // TCP
	shaking                 // the request is written, the answer awaited
	open
	closing // a close frame of ours is out, the peer's awaited
	ended   // for good
)

// conn is everything that is kept for a connection: no pointers, so that the collector never looks at the slice.
type conn struct {
	since      int64 // ns on the loop's clock: when the attempt that led here began
	due        int64 // in the wheel; zero: not armed
	fd         int32
	next, prev int32  // links: in the wheel, or in the queue of those that wait
	attempt    uint16 // counts attempts, for the handshake's key
	tries      uint8  // failures in a row, for the backoff
	state      state
	stashed    bool // the loop keeps something unfinished for it
	unsent     bool // the loop keeps something that the socket did not take
}

// queue is a first-in, first-out list over the connections' own links.
type queue struct {
	head, tail int32
	n          int
}

func (q *queue) push(conns []conn, id int32) {
	conns[id].next = none
	if q.n == 0 {
		q.head = id
	} else {
		conns[q.tail].next = id
	}
	q.tail = id
	q.n++
}

func (q *queue) pop(conns []conn) int32 {
	id := q.head
	q.head = conns[id].next
	conns[id].next = none
	q.n--
	return id
}
