// Command healthcheck asks one URL and says by its exit code whether the answer was 2xx. The images of the
// reference system carry it because their bases have no curl, and the scratch ones not even a shell.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const timeout = 2 * time.Second

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

// run returns 0 for a 2xx answer within the timeout, 1 for anything else and 2 for wrong usage.
func run(args []string, errs io.Writer) int {
	if len(args) != 1 {
		fmt.Fprintln(errs, "usage: healthcheck URL")
		return 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := check(ctx, args[0]); err != nil {
		fmt.Fprintln(errs, err)
		return 1
	}
	return 0
}

func check(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // the reason, where the service gives one
		return fmt.Errorf("%s: %s %s", url, res.Status, body)
	}
	return nil
}
