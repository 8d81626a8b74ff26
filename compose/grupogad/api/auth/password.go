package auth

import (
	"context"
	"runtime"

	"golang.org/x/crypto/bcrypt"
)

// Passwords compares bcrypt hashes, a bounded number at a time: each costs tens of milliseconds of
// processor time, and a burst of logins must not starve everything else.
type Passwords struct {
	slots chan struct{}
	cost  int
	dummy []byte
}

// NewPasswords takes the bcrypt cost (4 to 31; every step doubles the time).
func NewPasswords(cost int) (*Passwords, error) {
	dummy, err := bcrypt.GenerateFromPassword([]byte("no such user"), cost)
	return &Passwords{slots: make(chan struct{}, runtime.GOMAXPROCS(0)), cost: cost, dummy: dummy}, err
}

// Hash makes the hash that the database keeps.
func (p *Passwords) Hash(password string) (string, error) {
	h, err := bcrypt.GenerateFromPassword([]byte(password), p.cost)
	return string(h), err
}

// Match reports whether password belongs to hash. An empty hash (unknown user) costs as much as a
// real one, so that the time of an answer does not say which users exist.
func (p *Passwords) Match(ctx context.Context, hash, password string) (bool, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	h := []byte(hash)
	if hash == "" {
		h = p.dummy
	}
	return bcrypt.CompareHashAndPassword(h, []byte(password)) == nil && hash != "", nil
}
