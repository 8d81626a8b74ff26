package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

// needsLimit bounds one request to an address that a runbook refers to.
const needsLimit = 5 * time.Second

// checkNeeds looks for what the drill's runbooks refer to: the disaster is a bad moment to find out that a script is missing.
func (s *session) checkNeeds(ctx context.Context, d *drills.Drill) []drills.Check {
	var out []drills.Check
	for _, step := range d.Method {
		n, ok := step.Plan.(drills.Needer)
		if !ok {
			continue
		}
		c := drills.Check{Name: "runbook " + step.ID + ": what it refers to", OK: true, Expected: "every file, service and address that it names", Actual: "all there"}
		if missing := s.missing(ctx, n.Needs()); len(missing) > 0 {
			c.OK, c.Actual, c.Hint = false, strings.Join(missing, "; "), "mend the runbook: it could not be followed in a disaster"
		}
		out = append(out, c)
	}
	return out
}

func (s *session) missing(ctx context.Context, n drills.Needs) []string {
	var out []string
	for _, f := range n.Files {
		if !s.there(f) {
			out = append(out, "there is no file or command "+f)
		}
	}
	members, err := s.engine.Members(ctx)
	for _, name := range n.Services {
		if err != nil || !slices.ContainsFunc(members, func(m drills.Member) bool { return m.Service == name }) {
			out = append(out, "the system has no service "+name)
		}
	}
	for _, url := range n.URLs {
		if why := s.answers(ctx, url); why != "" {
			out = append(out, url+" "+why)
		}
	}
	return out
}

// there looks for a file beside the system file, or for a command of the PATH.
func (s *session) there(name string) bool {
	if !strings.Contains(name, "/") {
		if _, err := exec.LookPath(name); err == nil {
			return true
		}
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(s.system.File), name)
	}
	_, err := os.Stat(name)
	return err == nil
}

// answers asks once; a page that does not exist is as bad as nobody there.
func (s *session) answers(ctx context.Context, url string) string {
	ctx, cancel := context.WithTimeout(ctx, needsLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "is no address: " + err.Error()
	}
	client := http.Client{Transport: &http.Transport{DialContext: s.engine.DialContext, DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return "does not answer: " + err.Error()
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone || res.StatusCode >= http.StatusInternalServerError {
		return fmt.Sprintf("answers %d", res.StatusCode)
	}
	return ""
}
