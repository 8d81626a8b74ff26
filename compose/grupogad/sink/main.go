// Command sink receives Alertmanager's notifications and remembers when each arrived, so that a drill
// can say when a person would have been told.
//
// Environment: LISTEN (:8080), SINK_DIR (a directory such as /data; notifications are also appended to
// notifications.jsonl there and read back at start; empty means memory only), SINK_KEEP (10000).
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

// run is the program; its result is the exit code: 0 stopped as asked, 1 failed, 2 wrong arguments or
// environment.
func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	listen := orDefault(getenv("LISTEN"), ":8080")
	keep, err := strconv.Atoi(orDefault(getenv("SINK_KEEP"), "10000"))
	if len(args) > 0 || err != nil || keep < 1 {
		fmt.Fprintln(stderr, "sink takes no arguments; SINK_KEEP must be a number above 0")
		return 2
	}
	log := newLogger(stderr).Named("sink")
	if err := serve(ctx, listen, newRecorder(keep, getenv("SINK_DIR"), log), log); err != nil {
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

func serve(ctx context.Context, listen string, rec *recorder, log *zap.Logger) error {
	defer rec.close()
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listen (is the port taken?): %w", err)
	}
	srv := &http.Server{Handler: handler(rec), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	log.Info("listening", zap.String("addr", ln.Addr().String()))
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = srv.Shutdown(grace)
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
