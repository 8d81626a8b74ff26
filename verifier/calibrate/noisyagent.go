package calibrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/eevans-d/simulacro/drills"
	"github.com/eevans-d/simulacro/verifier"
)

// NullServer is the name of the agent that NullServerMain is.
const NullServer = "null-server"

// noisySpec is what the server of null drills is told: its users, and whose coin each has.
type noisySpec struct {
	Users map[string]noisyCoin `json:"users"`
}

type noisyCoin struct {
	Rate  float64 `json:"rate"`
	Seed  uint64  `json:"seed"`
	Drill uint64  `json:"drill"`
}

// noisyReady is the data of its "ready" frame, noisyMade that of its last one, "made": the failures of its own making, by user.
type (
	noisyReady struct {
		Address string `json:"address"`
	}
	noisyMade map[string]int
)

// NullServerMain is the server of null drills as an agent. It runs like a prober, under SCHED_FIFO where that is granted:
// in a process that does other things, and behind probers that go first, it would be late, and the probes would say so, rightly.
func NullServerMain(ctx context.Context, in io.Reader, out io.Writer) error {
	pipe := drills.NewPipe(in, out)
	var spec noisySpec
	if err := pipe.Spec(&spec); err != nil {
		return err
	}
	users := map[string]*noisyUser{}
	for name, c := range spec.Users {
		users[name] = newNoisyUser(c.Rate, c.Seed, c.Drill)
	}
	_ = verifier.Realtime(ctx) // where it is not granted, the drills that suffer from it are counted apart
	server, err := startNoisyServer(users)
	if err != nil {
		return err
	}
	defer server.close()
	if err := pipe.Send("ready", noisyReady{server.l.Addr().String()}); err != nil {
		return err
	}
	pipe.Watch(ctx, 0, nil)
	made := noisyMade{}
	for name, u := range users {
		made[name] = u.made()
	}
	return pipe.Send("made", made)
}

// noisyProcess is our end of that agent.
type noisyProcess struct {
	stream  drills.Stream
	address string
}

func startNoisyProcess(ctx context.Context, l drills.Launcher, spec noisySpec) (*noisyProcess, error) {
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	stream, err := l.Start(ctx, drills.Place{Kind: drills.PlaceHost, Name: NullServer, Realtime: true}, []string{"_agent", NullServer})
	if err != nil {
		return nil, fmt.Errorf("start the server of the null drills: %w", err)
	}
	p := &noisyProcess{stream: stream}
	var ready noisyReady
	if err = stream.Send(drills.Frame{Type: "spec", Data: data}); err == nil {
		err = p.await("ready", &ready)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the server of the null drills did not start: %w", err), p.close(ctx))
	}
	p.address = ready.Address
	return p, nil
}

func (p *noisyProcess) await(kind string, into any) error {
	f, err := p.stream.Recv()
	if err != nil {
		return err
	}
	if f.Type != kind {
		return fmt.Errorf("it said %q, not %q: %s", f.Type, kind, f.Data)
	}
	return json.Unmarshal(f.Data, into)
}

// finish ends the server and returns what it made fail.
func (p *noisyProcess) finish() (noisyMade, error) {
	var made noisyMade
	err := p.stream.Send(drills.Frame{Type: "stop"})
	if err == nil {
		err = p.await("made", &made)
	}
	if err != nil {
		return nil, fmt.Errorf("the server of the null drills died: %w", err)
	}
	return made, nil
}

func (p *noisyProcess) close(ctx context.Context) error {
	return p.stream.Close(context.WithoutCancel(ctx))
}
