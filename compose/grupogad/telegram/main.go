// Command telegram stands in for Telegram's Bot API: the methods that the bot uses, with their semantics (offsets, long
// polling, one poller at a time, error bodies), and under /_reference/ what a drill needs: a user's command that waits for
// its reply, the messages that were delivered, and faults that can be switched on.
//
// Environment: LISTEN (:8081), TELEGRAM_TOKEN (required), TELEGRAM_KEEP (messages remembered, 50000).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func main() {
	// As process 1 of a container nothing has a default action: what is not caught here would be ignored.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program; its result is the exit code: 0 stopped as asked, 1 failed, 2 wrong arguments or environment.
func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	listen, token := orDefault(getenv("LISTEN"), ":8081"), getenv("TELEGRAM_TOKEN")
	keep, err := strconv.Atoi(orDefault(getenv("TELEGRAM_KEEP"), "50000"))
	if len(args) > 0 || err != nil || keep < 1 || token == "" {
		fmt.Fprintln(stderr, "telegram takes no arguments; TELEGRAM_TOKEN must be set and TELEGRAM_KEEP be a number above 0")
		return 2
	}
	log := newLogger(stderr).Named("telegram")
	if err := serve(ctx, listen, newServer(token, keep, log), log); err != nil {
		log.Error("ended", zap.Error(err))
		return 1
	}
	return 0
}

func orDefault(v, def string) string {
	if v == "" {
		return def
	}
	return v
}

func newLogger(w io.Writer) *zap.Logger {
	ec := zap.NewProductionEncoderConfig()
	ec.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(ec), zapcore.Lock(zapcore.AddSync(w)), zap.InfoLevel))
}

// serve ends its requests' contexts before it waits for them: a long poll would otherwise hold the stop up.
func serve(ctx context.Context, listen string, s *server, log *zap.Logger) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listen (is the port taken?): %w", err)
	}
	srv := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	log.Info("listening", zap.String("addr", ln.Addr().String()))
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	err = srv.Shutdown(grace)
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
