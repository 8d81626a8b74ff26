package experiments

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const patroniPort = 8008

// restNode is one Patroni REST endpoint; Member is "" when no member has that address or name.
type restNode struct {
	Member string `json:"member"`
	Addr   string `json:"addr"`
}

// restOf lists the REST endpoints: the ones that the system file gives, else every running member's own.
func restOf(members []drills.Member, src drills.RoleSource) ([]restNode, error) {
	var out []restNode
	for _, addr := range src.Addresses {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, drills.Wrap(drills.Input, err, "roles: addresses: "+addr, "give host:port")
		}
		n := restNode{Addr: addr}
		for _, m := range members {
			if nodeOf(m).is(host) {
				n.Member = m.Name
			}
		}
		out = append(out, n)
	}
	if len(src.Addresses) > 0 {
		return out, nil
	}
	for _, m := range members {
		if a := m.Addresses(); m.State == "running" && len(a) > 0 {
			out = append(out, restNode{Member: m.Name, Addr: hostPort(a[0], src.RESTPort, patroniPort)})
		}
	}
	if len(out) == 0 {
		return nil, drills.Errorf(drills.Blocked, "is the component running?", "there is no Patroni REST endpoint to ask")
	}
	return out, nil
}

// patroniStatus is GET /patroni: a member about itself.
type patroniStatus struct {
	State   string `json:"state"`
	Role    string `json:"role"`
	Started string `json:"postmaster_start_time"`
	Seen    int64  `json:"dcs_last_seen"` // unix seconds
	Pause   bool   `json:"pause"`
	Line    int    `json:"timeline"`
	Xlog    struct {
		Location int64 `json:"location"`          // of a primary
		Received int64 `json:"received_location"` // of a replica
		Replayed int64 `json:"replayed_location"`
	} `json:"xlog"`
}

// patroniCluster is GET /cluster: the cluster as the configuration store has it.
type patroniCluster struct {
	Pause   bool `json:"pause"`
	Members []struct {
		Name     string `json:"name"`
		Host     string `json:"host"`
		Role     string `json:"role"`
		State    string `json:"state"`
		Timeline int    `json:"timeline"`
	} `json:"members"`
}

// leader is the name and host of the holder of the leader lock.
func (c patroniCluster) leader() (name, host string) {
	for _, m := range c.Members {
		if m.Role == "leader" || m.Role == "master" || m.Role == "standby_leader" {
			return m.Name, m.Host
		}
	}
	return "", ""
}

// nameOf is what Patroni calls a node.
func (c patroniCluster) nameOf(n node) (string, bool) {
	for _, m := range c.Members {
		if n.is(m.Name) || n.is(m.Host) {
			return m.Name, true
		}
	}
	return "", false
}

// patroniREST asks Patroni's REST API.
type patroniREST struct{ client *http.Client }

func newPatroniREST(dial Dial) patroniREST {
	// A connection kept through a fault would tell about the past.
	return patroniREST{client: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// get decodes the answer whatever its status: Patroni answers 503 with the same body.
func (p patroniREST) get(ctx context.Context, addr, path string, into any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	status, body, err := p.do(ctx, http.MethodGet, addr, path, nil)
	if err != nil || into == nil {
		return status, err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return status, fmt.Errorf("http://%s%s: answer %d is not Patroni's: %w", addr, path, status, err)
	}
	return status, nil
}

func (p patroniREST) do(ctx context.Context, method, addr, path string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, b, err
}

// isPrimary asks the endpoint that load balancers ask.
func (p patroniREST) isPrimary(ctx context.Context, addr string) (bool, error) {
	status, err := p.get(ctx, addr, "/primary", nil)
	return err == nil && status == http.StatusOK, err
}

// lastChange is the time of the newest entry of GET /history, and the timeline that it ended; ok is false when there
// never was a role change.
func lastChange(history [][]any) (at time.Time, ended int, ok bool) {
	if len(history) == 0 {
		return at, 0, false
	}
	last := history[len(history)-1]
	if len(last) < 4 {
		return at, 0, false
	}
	line, _ := last[0].(float64)
	text, _ := last[3].(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	return at, int(line), err == nil
}
