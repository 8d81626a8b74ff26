package epoll

import (
	"context"
	cryptorand "crypto/rand"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Options say what a loop holds.
type Options struct {
	Connections int
	First       int // number of the first one among all loops: decides target and source address
	Targets     []netip.AddrPort
	Hosts       []string // Host header per target; empty: the target's address
	Sources     []netip.Addr
	Path        func() string // of the next handshake, with whatever token it carries; must not block
	Header      string        // more header lines of the handshake, each with its CRLF

	Ramp             time.Duration // over which the connections are first tried, evenly
	Window           int           // handshakes in flight at once
	HandshakeTimeout time.Duration
	Backoff          func(tries int) time.Duration // before attempt n (from 0) after an end
	Settled          time.Duration                 // a connection that lived so long backs off from the beginning
	ReceiveBuffer    int                           // SO_RCVBUF, bytes
	Limit            int64                         // longest message, bytes
	Goodbye          time.Duration                 // for the closing handshakes at the end
	Once             bool                          // a connection that was open is not opened again
	Realtime         bool                          // SCHED_FIFO for the loop's thread, where allowed
}

// Message is one whole message. Times are ns since the loop's Base.
type Message struct {
	Text    bool
	Payload []byte // valid during the call only
	Read    int64  // when this process had it
	Arrived int64  // when the kernel had received the segment it ended in; zero when it did not say
}

// Handler is told what happens, on the loop's thread. It must not block.
type Handler interface {
	// Opened tells that connection id has shaken hands; began is when that attempt did.
	Opened(l *Loop, id int, began int64)
	// Message takes one message; an error ends the connection.
	Message(l *Loop, id int, m Message) error
	// Ended tells how an attempt, or an open connection, ended. It is tried again unless the loop itself ends.
	Ended(id int, opened bool, err error)
}

// Errors of an attempt or a connection, beside the kernel's, StatusError, CloseError and ProtocolError.
var (
	ErrTimeout = os.ErrDeadlineExceeded
	ErrEOF     = errors.New("closed without a word")
	ErrCut     = errors.New("cut by the generator")
)

// Loop holds connections on one thread.
type Loop struct {
	o       Options
	h       Handler
	clock   clock
	sockets sockets
	secret  [2]uint64
	masks   *rand.ChaCha8

	ep       int
	bell     bell
	conns    []conn
	wheel    *wheel
	queue    queue
	started  int // of the ramp
	flying   int // handshakes in flight
	live     int // sockets
	stopping bool
	deadline int64 // of the goodbyes

	in      *receiver
	scratch []byte
	stash   map[int32]*Parser
	spare   Parser
	out     map[int32][]byte
	now     int64
	wall    int64 // minus now: wall time of the loop's zero

	cut       atomic.Bool
	errands   errands
	fifo      bool  // the thread is under SCHED_FIFO
	rested    int64 // when it last had nothing to do
	scheduled error // why the thread is not realtime
}

// New makes a loop; Run runs it.
func New(o Options, h Handler) (*Loop, error) {
	if o.Connections < 1 || len(o.Targets) == 0 {
		return nil, errors.New("no connections, or no target for them")
	}
	l := &Loop{o: o, h: h, clock: clock{time.Now()}, conns: make([]conn, o.Connections), in: newReceiver(), stash: map[int32]*Parser{}, out: map[int32][]byte{}}
	l.sockets = sockets{receive: o.ReceiveBuffer, sources: addresses(o.Sources)}
	for _, t := range o.Targets {
		l.sockets.targets = append(l.sockets.targets, sockaddr(t))
	}
	if len(o.Hosts) == 0 {
		for _, t := range o.Targets {
			l.o.Hosts = append(l.o.Hosts, t.String())
		}
	}
	var seed [48]byte
	_, _ = cryptorand.Read(seed[:]) // never fails
	l.masks = rand.NewChaCha8([32]byte(seed[:32]))
	l.secret = [2]uint64{binary.LittleEndian.Uint64(seed[32:]), binary.LittleEndian.Uint64(seed[40:])}
	for i := range l.conns {
		l.conns[i] = conn{fd: -1, next: none, prev: none}
	}
	return l, nil
}

// Base is the zero of the loop's clock.
func (l *Loop) Base() time.Time { return l.clock.base }

// Now is the loop's clock, ns since Base.
func (l *Loop) Now() int64 { return l.now }

// Unscheduled is why the loop's thread is not under SCHED_FIFO although that was asked for; nil when it is. For after Run.
func (l *Loop) Unscheduled() error { return l.scheduled }

// Cut resets every open connection at once, as a network or a proxy that fails does; they come back by their backoff.
// Safe for other goroutines.
func (l *Loop) Cut() {
	l.cut.Store(true)
	l.bell.ring()
}

// bell wakes the loop from other goroutines.
type bell struct {
	mu   sync.Mutex
	fd   int
	hung bool // fd is open
}

func (b *bell) hang() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	b.fd, b.hung = fd, err == nil
	return os.NewSyscallError("eventfd", err)
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hung {
		_, _ = unix.Write(b.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // full means that it will wake anyway
	}
}

func (b *bell) silence() {
	var n [8]byte
	_, _ = unix.Read(b.fd, n[:])
}

func (b *bell) remove() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hung {
		b.hung = false
		_ = unix.Close(b.fd)
	}
}

const batch = 512

// Run opens the connections along the ramp and holds them until ctx ends, then says goodbye to all and returns. It must be
// called once, on a goroutine of its own: a thread under SCHED_FIFO ends with it.
func (l *Loop) Run(ctx context.Context) error {
	runtime.LockOSThread()
	if l.o.Realtime {
		l.scheduled = realtime()
	}
	if l.fifo = l.o.Realtime && l.scheduled == nil; !l.fifo {
		defer runtime.UnlockOSThread()
	}
	if err := l.open(); err != nil {
		return err
	}
	defer func() { l.bell.remove(); _ = unix.Close(l.ep) }()
	defer context.AfterFunc(ctx, l.bell.ring)()
	events := make([]unix.EpollEvent, batch)
	l.tick()
	l.rested = l.now
	l.wheel = newWheel(l.now)
	start := l.now
	for !l.finished(ctx) {
		n, err := l.wait(events, start)
		if err != nil && err != unix.EINTR { //nolint:errorlint // a bare errno
			l.abandon()
			return os.NewSyscallError("epoll_wait", err)
		}
		l.tick()
		for i := range max(n, 0) {
			l.event(events[i])
		}
		l.tick()
		l.wheel.advance(l.conns, l.now, l.fire)
		if l.cut.Swap(false) {
			l.cutAll()
		}
		l.errands.run()
		l.begin(start)
	}
	return nil
}

func (l *Loop) open() error {
	var err error
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create", err)
	}
	if err = l.bell.hang(); err == nil {
		err = os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, l.bell.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: none}))
	}
	if err != nil {
		l.bell.remove()
		_ = unix.Close(l.ep)
	}
	return err
}

// patience is how long a loop under SCHED_FIFO may go without having to wait: beyond that it would keep everything else
// from running, and gives up the priority.
const patience = int64(500 * time.Millisecond)

// wait waits for the kernel. Under SCHED_FIFO it looks first without waiting, to know when it last had nothing to do.
func (l *Loop) wait(events []unix.EpollEvent, start int64) (int, error) {
	if !l.fifo {
		return unix.EpollWait(l.ep, events, l.timeout(start))
	}
	n, err := unix.EpollWait(l.ep, events, 0)
	if n != 0 || err != nil {
		if l.now-l.rested > patience {
			l.fifo, l.scheduled = false, errors.Join(errSpins, ordinary())
		}
		return n, err
	}
	n, err = unix.EpollWait(l.ep, events, l.timeout(start))
	l.tick()
	l.rested = l.now
	return n, err
}

var errSpins = errors.New("given up: the loop had no pause for half a second")

// tick reads the clocks.
func (l *Loop) tick() {
	mono, wall := l.clock.read()
	l.now, l.wall = mono, wall-mono
}

// timeout is how long the kernel may wait, in milliseconds.
func (l *Loop) timeout(start int64) int {
	next := l.now + int64(time.Second)
	if l.wheel.n > 0 {
		next = min(next, (l.wheel.at+1)*slotTime)
	}
	if l.started < len(l.conns) && l.flying < l.o.Window && !l.stopping {
		next = min(next, start+l.turn(l.started))
	}
	return int(max(next-l.now+int64(time.Millisecond)-1, 0) / int64(time.Millisecond))
}

// turn is when connection i is first tried, ns from the start.
func (l *Loop) turn(i int) int64 {
	return int64(l.o.Ramp) * int64(i) / int64(len(l.conns))
}

// begin starts what is due and has a place among the handshakes in flight: those that come back first.
func (l *Loop) begin(start int64) {
	if l.stopping {
		return
	}
	for l.flying < l.o.Window && l.queue.n > 0 {
		l.dial(l.queue.pop(l.conns))
	}
	for l.flying < l.o.Window && l.started < len(l.conns) && start+l.turn(l.started) <= l.now {
		l.started++
		l.dial(int32(l.started - 1))
	}
}

// finished begins to end when ctx has, and tells when everything is over.
func (l *Loop) finished(ctx context.Context) bool {
	if !l.stopping && ctx.Err() != nil {
		l.stopping = true
		l.deadline = l.now + int64(l.o.Goodbye)
		l.goodbye()
	}
	if !l.stopping {
		return false
	}
	if l.live > 0 && l.now < l.deadline {
		return false
	}
	l.abandon()
	return true
}

// goodbye begins the closing handshake on every open connection and drops all others.
func (l *Loop) goodbye() {
	body := closeBody(codeNormal)
	for i := range l.conns {
		id := int32(i)
		c := &l.conns[i]
		l.wheel.clear(l.conns, id)
		switch {
		case c.state == open && l.write(id, OpClose, body) == nil:
			c.state = closing
		case c.fd >= 0:
			l.release(id, false)
		}
	}
}

// abandon closes what is still there.
func (l *Loop) abandon() {
	for i := range l.conns {
		if l.conns[i].fd >= 0 {
			l.release(int32(i), false)
		}
		l.conns[i].state = ended
	}
}

func (l *Loop) cutAll() {
	for i := range l.conns {
		if l.conns[i].state == open {
			l.fail(int32(i), ErrCut)
		}
	}
}
