package main

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// quiet drops what a library prints by itself: during a drill its dial failures are what is being drilled, and they are in
// the record.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func silenceLibraries() { redis.SetLogger(quiet{}) }
