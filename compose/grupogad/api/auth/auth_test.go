package auth_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/auth"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/bcrypt"
)

const secret = "a secret that is long enough"

func tokens(t *testing.T, secret string) *auth.Tokens {
	t.Helper()
	tk, err := auth.NewTokens(secret, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

func TestIssuedTokenIsAcceptedByTheOtherInstance(t *testing.T) {
	t.Parallel()
	want := auth.Identity{UserID: "7", Role: auth.RoleAdmin}
	text, err := tokens(t, secret).Issue(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tokens(t, secret).Verify(text)
	if err != nil || got != want {
		t.Errorf("Verify = %+v, %v; want %+v", got, err, want)
	}
}

func TestATokenMayLiveShorter(t *testing.T) {
	t.Parallel()
	tk := tokens(t, secret)
	for asked, want := range map[time.Duration]time.Duration{time.Minute: time.Minute, 2 * time.Hour: time.Hour} {
		text, err := tk.IssueFor(auth.Identity{UserID: "7"}, asked)
		if err != nil {
			t.Fatal(err)
		}
		_, until, err := tk.VerifyUntil(text)
		if lives := time.Until(until); err != nil || lives > want || lives < want-2*time.Second {
			t.Errorf("asked for %v: lives %v, %v", asked, lives, err)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"iss": "grupo_gad.gob.ec", "aud": "api", "sub": "7", "role": "LEVEL_3", "exp": time.Now().Add(time.Hour).Unix()}
	}
	without := func(claim string) jwt.MapClaims { c := good(); delete(c, claim); return c }
	with := func(claim string, v any) jwt.MapClaims { c := good(); c[claim] = v; return c }
	for name, tc := range map[string]struct {
		claims jwt.MapClaims
		method jwt.SigningMethod
		key    any
		ok     bool
	}{
		"the same made by hand": {good(), jwt.SigningMethodHS256, []byte(secret), true},
		"another secret":        {good(), jwt.SigningMethodHS256, []byte("another secret, long enough"), false},
		"another algorithm":     {good(), jwt.SigningMethodHS512, []byte(secret), false},
		"no algorithm":          {good(), jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, false},
		"expired":               {with("exp", time.Now().Add(-time.Minute).Unix()), jwt.SigningMethodHS256, []byte(secret), false},
		"no expiry":             {without("exp"), jwt.SigningMethodHS256, []byte(secret), false},
		"no subject":            {without("sub"), jwt.SigningMethodHS256, []byte(secret), false},
		"another audience":      {with("aud", "telegram"), jwt.SigningMethodHS256, []byte(secret), false},
		"another issuer":        {with("iss", "someone"), jwt.SigningMethodHS256, []byte(secret), false},
		"not valid yet":         {with("nbf", time.Now().Add(time.Hour).Unix()), jwt.SigningMethodHS256, []byte(secret), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := jwt.NewWithClaims(tc.method, tc.claims).SignedString(tc.key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tokens(t, secret).Verify(text); (err == nil) != tc.ok {
				t.Errorf("Verify error = %v, want accepted = %v", err, tc.ok)
			}
		})
	}
}

func TestTokenExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tk := tokens(t, secret)
		text, err := tk.Issue(auth.Identity{UserID: "7"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - time.Second)
		if _, err := tk.Verify(text); err != nil {
			t.Errorf("refused before its time: %v", err)
		}
		time.Sleep(10 * time.Second)
		if _, err := tk.Verify(text); err == nil {
			t.Error("accepted after its time")
		}
	})
}

func TestShortSecretIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := auth.NewTokens("short", time.Hour); err == nil {
		t.Error("a five letter secret was accepted")
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	p, err := auth.NewPasswords(bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := p.Hash("right")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		hash, password string
		want           bool
	}{
		"right":                           {hash, "right", true},
		"wrong":                           {hash, "wrong", false},
		"unknown user":                    {"", "right", false},
		"unknown user, the dummy's words": {"", "no such user", false},
		"account without a password":      {"!", "!", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := p.Match(t.Context(), tc.hash, tc.password); got != tc.want || err != nil {
				t.Errorf("Match = %v, %v; want %v", got, err, tc.want)
			}
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 8 { // the free slot and the dead context are both ready; either may be chosen
		if got, _ := p.Match(gone, hash, "wrong"); got {
			t.Fatal("a wrong password matched")
		}
	}
}
