package calibrate

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier"
)

// goroutines is a launcher that runs agents in this process: their protocol is the same.
type goroutines struct{}

func (goroutines) Start(_ context.Context, _ drills.Place, argv []string) (drills.Stream, error) {
	agent := map[string]func(context.Context, io.Reader, io.Writer) error{"probe": verifier.ProbeMain, "canary": verifier.CanaryMain, NullServer: NullServerMain}[argv[1]]
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	s := &pipes{in: inW, out: outR, dec: json.NewDecoder(outR), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = agent(context.Background(), inR, outW)
		_, _ = outW.Close(), inR.Close()
	}()
	return s, nil
}

type pipes struct {
	mu   sync.Mutex
	in   *io.PipeWriter
	out  *io.PipeReader
	dec  *json.Decoder
	done chan struct{}
}

func (p *pipes) Send(f drills.Frame) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return json.NewEncoder(p.in).Encode(f)
}

func (p *pipes) Recv() (f drills.Frame, err error) { return f, p.dec.Decode(&f) }

func (p *pipes) Close(context.Context) error {
	_ = p.in.Close()
	_ = p.out.Close() // nobody reads any more
	<-p.done
	return nil
}

// TestLossesAreCountedExactly: the canary of drills, against a store that loses, doubles and alters what only it knows.
func TestLossesAreCountedExactly(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64N(1 << 32)
	results, err := RunLosses(t.Context(), LossConfig{Launcher: goroutines{}, Losses: Losses(), Times: 5, Parallel: 4, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Exact != r.Times || r.Times != 5 || r.PointHeld != r.Points {
			t.Errorf("%s: exact in %d of %d, recovery point held in %d of %d\n%s", r.Loss, r.Exact, r.Times, r.PointHeld, r.Points, strings.Join(r.Wrong, "\n"))
		}
		some := map[Loss]int{
			None: r.True.Acked, Tail: r.True.Lost, Hole: r.True.Lost, Duplicated: r.True.Duplicated, StaleReads: r.True.Stale, Resurrected: r.True.Resurrected,
			Corrupt: r.True.Corrupt, Unanswered: r.True.Indeterminate, Mixed: r.True.Lost + r.True.Corrupt + r.True.Phantom + r.True.Duplicated,
		}[r.Loss]
		if some == 0 || r.Loss == None && r.True.Lost+r.True.Corrupt+r.True.Stale+r.True.Duplicated+r.True.Phantom+r.True.Resurrected > 0 {
			t.Errorf("%s made %+v", r.Loss, r.True)
		}
	}
}

// TestLossResultTellsWhatIsWrong: a canary that counted otherwise, or whose interval missed the truth, is not exact.
func TestLossResultTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return time.Unix(1, 0).Add(time.Duration(ms) * time.Millisecond) }
	point := drills.Interval{From: at(5), To: at(6)}
	var r LossResult
	r.add(Counts{Acked: 9, Lost: 2}, point, drills.CanaryMeasured{Acked: 9, Lost: 2, Point: drills.Interval{From: at(4), To: at(5)}}, 1)
	r.add(Counts{Acked: 9, Lost: 2}, point, drills.CanaryMeasured{Acked: 9, Lost: 1, Point: drills.Interval{From: at(4), To: at(7)}}, 2)
	r.add(Counts{Acked: 9, Lost: 9}, drills.Interval{}, drills.CanaryMeasured{Acked: 9, Lost: 9}, 3)
	r.add(Counts{Acked: 9}, point, drills.CanaryMeasured{Acked: 9, Point: drills.Interval{From: at(7), To: at(8)}}, 4)
	if r.Times != 4 || r.Exact != 3 || r.Points != 3 || r.PointHeld != 2 || r.True.Lost != 13 || r.Counted.Lost != 12 || len(r.Wrong) != 2 {
		t.Errorf("%+v", r)
	}
}
