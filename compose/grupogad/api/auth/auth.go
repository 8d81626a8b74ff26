// Package auth issues and checks the bearer tokens (JWT, HS256) and the password hashes.
package auth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	issuer   = "grupo_gad.gob.ec"
	audience = "api"
	// A token issued on one instance is checked on the other at once; their clocks may differ a little.
	leeway = 5 * time.Second
)

// Roles, lowest first, as GRUPO_GAD names them.
const (
	RoleUnit       = "LEVEL_1"
	RoleSupervisor = "LEVEL_2"
	RoleAdmin      = "LEVEL_3"
)

// Identity is who a valid token speaks for.
type Identity struct {
	UserID string
	Role   string
}

type claims struct {
	Role string `json:"role"`
	jwt.RegisteredClaims
}

// Tokens issues and verifies tokens under one secret.
type Tokens struct {
	secret []byte
	life   time.Duration
}

// NewTokens refuses a secret that is too short to be one.
func NewTokens(secret string, life time.Duration) (*Tokens, error) {
	if len(secret) < 16 {
		return nil, errors.New("JWT_SECRET must have at least 16 characters")
	}
	return &Tokens{secret: []byte(secret), life: life}, nil
}

// Life is how long a token is valid.
func (t *Tokens) Life() time.Duration { return t.life }

// Issue signs a token for id.
func (t *Tokens) Issue(id Identity) (string, error) { return t.IssueFor(id, t.life) }

// IssueFor signs a token for id that lives shorter than usual; a longer life is not given.
func (t *Tokens) IssueFor(id Identity, life time.Duration) (string, error) {
	life = min(life, t.life)
	now := time.Now()
	c := claims{Role: id.Role, RegisteredClaims: jwt.RegisteredClaims{
		Subject: id.UserID, Issuer: issuer, Audience: jwt.ClaimStrings{audience}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(life)),
	}}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(t.secret)
}

// Verify accepts only an unexpired HS256 token of ours. The method list is pinned, because a token
// chooses its own algorithm otherwise.
func (t *Tokens) Verify(token string) (Identity, error) {
	id, _, err := t.VerifyUntil(token)
	return id, err
}

// VerifyUntil is Verify, and tells when the token expires.
func (t *Tokens) VerifyUntil(token string) (Identity, time.Time, error) {
	var c claims
	_, err := jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return t.secret, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithLeeway(leeway))
	if err != nil {
		return Identity{}, time.Time{}, fmt.Errorf("token refused: %w", err)
	}
	if c.Subject == "" {
		return Identity{}, time.Time{}, errors.New("token refused: no subject")
	}
	return Identity{UserID: c.Subject, Role: c.Role}, c.ExpiresAt.Time, nil
}
