package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/gorilla/websocket"
)

// rivalSpec is what a client of another library is to hold.
type rivalSpec struct {
	Targets []string
	Count   int
}

// rivalState is what it tells: once when all were tried, then for every line of its input.
type rivalState struct {
	Open, Failed, Received int64
}

// rival counts what arrives on connections that each have a goroutine.
type rival struct {
	open, failed, received atomic.Int64
}

// holder connects once and returns what reads until the connection ends.
type holder func(ctx context.Context, url string) (read func(got *atomic.Int64), err error)

// rivals are the clients of other libraries.
func rivals() map[string]func() holder {
	return map[string]func() holder{"ws-gorilla": gorilla, "ws-gorilla-tuned": gorillaTuned, "ws-gobwas": gobwas}
}

// inFlight is how many handshakes are under way at once: as many as our engine has.
const inFlight = 64

func rivalMain(make func() holder) func(context.Context, io.Reader, io.Writer) error {
	return func(ctx context.Context, in io.Reader, out io.Writer) error {
		var spec rivalSpec
		rest, err := receive(in, &spec)
		if err != nil {
			return err
		}
		raiseFiles()
		var r rival
		r.ramp(ctx, spec, make())
		answer := json.NewEncoder(out)
		if err := answer.Encode(r.state()); err != nil {
			return err
		}
		runtime.GC() // as our engine does
		debug.FreeOSMemory()
		for lines := bufio.NewScanner(rest); lines.Scan(); {
			if err := answer.Encode(r.state()); err != nil {
				return err
			}
		}
		return nil // the connections end with the process
	}
}

func (r *rival) state() rivalState {
	return rivalState{r.open.Load(), r.failed.Load(), r.received.Load()}
}

// ramp opens all connections and returns when each was tried.
func (r *rival) ramp(ctx context.Context, spec rivalSpec, hold holder) {
	slots := make(chan struct{}, inFlight)
	var tried sync.WaitGroup
	for i := range spec.Count {
		slots <- struct{}{}
		tried.Add(1)
		go func() {
			read, err := hold(ctx, "ws://"+spec.Targets[i%len(spec.Targets)]+"/")
			if err == nil {
				r.open.Add(1)
			} else {
				r.failed.Add(1)
			}
			<-slots
			tried.Done()
			if err == nil {
				read(&r.received)
				r.open.Add(-1)
			}
		}()
	}
	tried.Wait()
}

func gorilla() holder {
	return gorillaWith(websocket.Dialer{HandshakeTimeout: 10 * time.Second}, func(c *websocket.Conn, got *atomic.Int64) {
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
			got.Add(1)
		}
	})
}

// gorillaTuned is what its documentation offers against memory: small read buffers, shared write buffers, no buffer made
// for each message.
func gorillaTuned() holder {
	d := websocket.Dialer{HandshakeTimeout: 10 * time.Second, ReadBufferSize: 256, WriteBufferPool: &sync.Pool{}}
	buffers := sync.Pool{New: func() any { return new([4096]byte) }}
	return gorillaWith(d, func(c *websocket.Conn, got *atomic.Int64) {
		for {
			_, r, err := c.NextReader()
			if err != nil {
				return
			}
			b := buffers.Get().(*[4096]byte)
			for err == nil {
				_, err = r.Read(b[:])
			}
			buffers.Put(b)
			if err != io.EOF {
				return
			}
			got.Add(1)
		}
	})
}

func gorillaWith(d websocket.Dialer, read func(*websocket.Conn, *atomic.Int64)) holder {
	return func(ctx context.Context, url string) (func(*atomic.Int64), error) {
		c, _, err := d.DialContext(ctx, url, nil) //nolint:bodyclose // an upgraded answer has none
		if err != nil {
			return nil, err
		}
		return func(got *atomic.Int64) { read(c, got); _ = c.Close() }, nil
	}
}

func gobwas() holder {
	buffers := sync.Pool{New: func() any { return new([4096]byte) }}
	d := ws.Dialer{Timeout: 10 * time.Second, ReadBufferSize: 1024, WriteBufferSize: 1024}
	return func(ctx context.Context, url string) (func(*atomic.Int64), error) {
		c, early, _, err := d.Dial(ctx, url)
		if err != nil {
			return nil, err
		}
		if early != nil {
			return nil, fmt.Errorf("a message came with the handshake") // nothing is sent before all are open
		}
		return func(got *atomic.Int64) { gobwasRead(c, &buffers, got); _ = c.Close() }, nil
	}
}

func gobwasRead(c net.Conn, buffers *sync.Pool, got *atomic.Int64) {
	for {
		h, err := ws.ReadHeader(c)
		if err != nil || h.Length > 4096 {
			return
		}
		b := buffers.Get().(*[4096]byte)
		_, err = io.ReadFull(c, b[:h.Length])
		buffers.Put(b)
		if err != nil || h.OpCode == ws.OpClose {
			return
		}
		if h.OpCode.IsData() {
			got.Add(1)
		}
	}
}
