package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/eevans-d/simulacro/drills"
)

// TestFanOutTellsInstancesApart: when one instance crashes, those who listened there miss what was published meanwhile, and
// those at the other one nothing.
func TestFanOutTellsInstancesApart(t *testing.T) {
	e2e(t, true)
	whole(t)
	runs := t.TempDir()
	rec, _ := runDrill(t, runs, fromTwoPlaces(t), e2eDrill("e2e-ws-fan-out"))
	if len(rec.Canaries) != 1 || rec.Canaries[0].Error != "" || rec.Outcome != drills.Pass {
		t.Fatalf("%s: %+v", rec.Outcome, rec.Canaries)
	}
	c := rec.Canaries[0]
	t.Logf("%d acknowledged, %d lost; %+v", c.Acked, c.Lost, c.Clients)
	missed := 0
	for _, x := range c.Clients {
		switch {
		case strings.HasPrefix(x.Client, "api-2") && (x.Lost != 0 || x.Reconnects != 0):
			t.Errorf("nothing happened to %s: %+v", x.Client, x)
		case strings.HasPrefix(x.Client, "api-1") && x.Reconnects != 1:
			t.Errorf("%s was cut once: %+v", x.Client, x)
		case strings.HasPrefix(x.Client, "api-1"):
			missed = max(missed, x.Lost)
		}
	}
	shownApart(t, rec)
	var out, errs bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, lookup: os.LookupEnv}
	if code := run(t.Context(), []string{"--runs", runs, "verify", rec.Opened.Run}, e); code != 0 || !strings.Contains(out.String(), "counted again: ws-fan-out agrees") {
		t.Errorf("verify: %d\n%s%s", code, out.String(), errs.String())
	}
	if missed == 0 || c.Lost < missed || c.Duplicated+c.Reordered+c.Corrupt+c.Phantom != 0 {
		t.Errorf("%+v", c)
	}
}

// fromTwoPlaces is the reference system with one of its probes asked from a network of the system and from the host.
func fromTwoPlaces(t *testing.T) string {
	t.Helper()
	base := "http://" + docker(t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", service(t, "api-2")) + ":8000"
	return systemWith(t, "api-2-tasks", `
    kind: http
    from: [{network: gad}, {host: true}]
    every: 100ms
    timeout: 3s
    url: `+base+`/tasks/?limit=1
    login: {url: "`+base+`/auth/login", username: admin@gad.example, password: "${file:.state/gad/secrets/ADMIN_PASSWORD}"}
`)
}

// shownApart: both places are measured, each by itself.
func shownApart(t *testing.T, rec drills.Record) {
	t.Helper()
	places := map[string]string{}
	for _, p := range rec.Probes {
		if strings.HasPrefix(p.Name, "api-2-tasks") && p.Error == "" && p.Count.Good > 50 {
			places[p.Name] = p.Place
		}
	}
	if len(places) != 2 || places["api-2-tasks@gad"] != "network gad" || places["api-2-tasks@host"] != "host" {
		t.Errorf("%v", places)
	}
}
