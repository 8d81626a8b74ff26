package verifier

import (
	"context"
	"strconv"

	"github.com/eevans-d/simulacro/drills"
)

const (
	registerCount   = 4
	registerClients = 3
	noValue         = "-" // what a read of a register answers that was never written
)

// registerOp is one operation of a register canary. It follows from its number alone, so that the raw file needs to say only
// what was answered. A write writes its own number plus one: every value is written at most once.
type registerOp struct {
	seq      int64
	client   int
	register int
	write    bool
}

// operation is the operation with that number: each client in turn, all of them at one register, then the next one.
func operation(seq int64, clients, registers int) registerOp {
	return registerOp{
		seq: seq, client: int(seq % int64(clients)), register: int(seq / int64(clients) % int64(registers)),
		write: mix(uint64(seq))&1 == 0, //nolint:gosec // numbers are not negative
	}
}

func (o registerOp) value() int64 { return o.seq + 1 }

// mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014): neighbouring numbers give unrelated bits.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// clientSpecs are the specs of the clients of a register: mixed means that the last one stays with the primary at the start.
func clientSpecs(s drills.CanarySpec) []drills.CanarySpec {
	out := make([]drills.CanarySpec, s.Clients)
	for i := range out {
		out[i] = s
		if s.Connection == "mixed" {
			out[i].Connection = "persistent"
		}
	}
	if s.Connection == "mixed" {
		out[len(out)-1].Connection = "pinned"
	}
	return out
}

// registerStore has one store per client, each with connections of its own. Reading proof and purging are the first one's.
type registerStore[S registerClient] struct {
	store
	spec    drills.CanarySpec
	book    *book
	clients []S
}

// registerClient is one client of a store that can read and write a register.
type registerClient interface {
	store
	openRegisters(ctx context.Context, first bool) error
	// operate carries one operation out. A read that was answered says what with the book.
	operate(context.Context, registerOp) result
}

func newRegisterStore[S registerClient](s drills.CanarySpec, b *book, open func(drills.CanarySpec, *book) (S, error)) (*registerStore[S], error) {
	out := &registerStore[S]{spec: s, book: b}
	for _, each := range clientSpecs(s) {
		c, err := open(each, b)
		if err != nil {
			return nil, err
		}
		out.clients = append(out.clients, c)
	}
	out.store = out.clients[0]
	return out, nil
}

func (r *registerStore[S]) open(ctx context.Context) error {
	for i, c := range r.clients {
		if err := c.openRegisters(ctx, i == 0); err != nil {
			return err
		}
	}
	return nil
}

// keep keeps every client until ctx is done.
func (r *registerStore[S]) keep(ctx context.Context) {
	done := make(chan struct{})
	for _, c := range r.clients {
		go func() {
			c.keep(ctx)
			done <- struct{}{}
		}()
	}
	for range r.clients {
		<-done
	}
}

func (r *registerStore[S]) check(ctx context.Context, seq int64) result {
	o := operation(seq, r.spec.Clients, r.spec.Registers)
	return r.clients[o.client].operate(ctx, o)
}

// answered notes what a read was answered.
func answered(b *book, o registerOp, value any) {
	if text, ok := value.(string); ok {
		b.stored(o.seq, text)
		return
	}
	b.stored(o.seq, noValue)
}

func itoaInt(n int) string { return strconv.Itoa(n) }
