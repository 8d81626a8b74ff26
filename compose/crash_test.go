package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

func TestCrashThroughTheHelper(t *testing.T) {
	spec := killSpec{Kind: "kill", PID: 42, Container: "c", Signal: 9}
	for name, tc := range map[string]struct {
		answer string // the helper's frame; %d is CLOCK_MONOTONIC when it got the spec
		want   string // part of the error
		width  time.Duration
	}{
		"stamped":        {`{"type":"ready","mono":%[1]d,"wall":%[2]d,"data":{"killed":true,"from":%[1]d,"mono":%[1]d}}`, "", 0},
		"unstamped":      {`{"type":"ready","mono":%[1]d,"wall":%[2]d,"data":{"killed":true}}`, "", 20 * time.Millisecond},
		"no clock":       {`{"type":"ready","data":{"killed":true}}`, "", 30 * time.Millisecond},
		"nonsense stamp": {`{"type":"ready","mono":1,"wall":1,"data":{"killed":true}}`, "", 30 * time.Millisecond},
		"not killed":     {`{"type":"ready","mono":%[1]d,"wall":%[2]d,"data":{"killed":false}}`, "did not kill", 0},
		"error":          {`{"type":"error","data":{"text":"not of that container"}}`, "not of that container", 0},
		"silent end":     {``, "without saying", 0},
		"hangs":          {`hang`, "deadline", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := newFakeStream()
				go func() {
					in := drills.NewPipe(p.stdin, p.stdout)
					var got killSpec
					if err := in.Spec(&got); err != nil || got != spec {
						t.Errorf("spec %+v %v", got, err)
					}
					time.Sleep(20 * time.Millisecond)
					at, mono := time.Now(), drills.Monotonic()
					time.Sleep(10 * time.Millisecond)
					if tc.answer == "hang" {
						<-p.ended
						return
					}
					line := tc.answer
					if strings.Contains(line, "%") {
						line = fmt.Sprintf(line, mono, at.UnixNano())
					}
					if line != "" {
						_, _ = p.stdout.Write([]byte(line + "\n"))
					}
					p.exit()
				}()
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				begin := time.Now()
				i, err := crashThrough(ctx, s, spec)
				if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
					t.Errorf("error %v, want %q", err, tc.want)
				}
				if err == nil && (i.From.Before(begin) || i.To.Sub(i.From) != tc.width) {
					t.Errorf("interval %v..%v, want %v wide", i.From.Sub(begin), i.To.Sub(begin), tc.width)
				}
				_ = s.Close(t.Context())
			})
		})
	}
	if b, _ := json.Marshal(spec); string(b) != `{"kind":"kill","pid":42,"container":"c","signal":9}` {
		t.Errorf("the helper refuses other fields: %s", b)
	}
}
