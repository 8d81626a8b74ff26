package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/store"
	"go.uber.org/zap"
)

// schema remembers whether the tables are there, for readiness.
type schema struct {
	mu  sync.Mutex
	err error
}

func newSchema() *schema { return &schema{err: errors.New("schema not created yet")} }

// Err is nil once the schema is in place, else the last reason why not.
func (s *schema) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *schema) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// migrate tries until the database is reachable; the service runs meanwhile and its readiness says why
// it is not ready.
func (a *app) migrate(ctx context.Context) error {
	hash, err := a.passwords.Hash(a.c.AdminPassword)
	if err != nil {
		return fmt.Errorf("ADMIN_PASSWORD: %w", err)
	}
	admin := store.Admin{Email: a.c.AdminUser, PasswordHash: hash}
	for wait := 250 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 2*time.Second) {
		err := a.store.Migrate(ctx, admin)
		if err == nil {
			a.schema.set(nil)
			a.log.Info("schema ready")
			return nil
		}
		a.schema.set(fmt.Errorf("schema not ready: %w", err))
		a.log.Warn("schema not ready", zap.Error(err), zap.Duration("again in", wait))
		pause(ctx, wait)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// origin is unique per start: two processes given the same INSTANCE must not take each other's
// broadcasts for their own echo.
func origin(instance string) string { return instance + "/" + rand.Text()[:8] }

// libraryLog sends go-redis's own complaints to our log.
type libraryLog struct{ log *zap.Logger }

// Printf implements the library's logger.
func (l libraryLog) Printf(_ context.Context, format string, v ...any) {
	l.log.Info(fmt.Sprintf(format, v...))
}
