package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// healthcheck exits 0 when url (by default this container's own /health) answers 200 within 3 s.
func healthcheck(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	url := ownHealth(getenv("LISTEN"))
	if len(args) > 0 {
		url = args[0]
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	defer resp.Body.Close() // read only, and the process ends
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 512)) // for the message only
		fmt.Fprintf(stderr, "%s: %s\n", resp.Status, body)
		return 1
	}
	return 0
}

func ownHealth(listen string) string {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		port = "8000"
	}
	return "http://127.0.0.1:" + port + "/health"
}
