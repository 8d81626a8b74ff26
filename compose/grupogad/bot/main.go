// Command bot is the reference system's stand-in for GRUPO_GAD's Telegram bot: it polls Telegram for commands, which it carries
// out through the API, and delivers the notifications that the API puts into a Redis Stream. Named defects take its recovery
// mechanisms away.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

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
	if len(args) > 0 {
		fmt.Fprintf(stderr, "unknown argument %q; bot takes none\n", args[0])
		return 2
	}
	c, err := loadConfig(getenv)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	log := newLogger(stderr).Named("bot")
	defer log.Sync() //nolint:errcheck // stderr cannot be synced everywhere
	if err := serve(ctx, c, log); err != nil {
		log.Error("ended", zap.Error(err))
		return 1
	}
	return 0
}

func newLogger(w io.Writer) *zap.Logger {
	ec := zap.NewProductionEncoderConfig()
	ec.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(ec), zapcore.Lock(zapcore.AddSync(w)), zap.InfoLevel))
}
