package audit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const day = 24 * time.Hour

// authority signs certificates of the test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T, until time.Time) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-365 * day), NotAfter: until, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	a.pem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
	return a
}

// sign makes a key and its certificate; an authority without a certificate signs its own.
func (a *authority) sign(t *testing.T, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return out, key
}

// serve answers handshakes with a certificate for localhost that ends then, after PostgreSQL's question where pg is true.
func (a *authority) serve(t *testing.T, until time.Time, name string, pg, withCA bool) string {
	t.Helper()
	c, key := a.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "leaf"}, NotBefore: time.Now().Add(-365 * day), NotAfter: until, DNSNames: []string{name}})
	pair := tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}
	if withCA {
		pair.Certificate = append(pair.Certificate, a.cert.Raw)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			if pg {
				var ask [8]byte
				_, _ = io.ReadFull(conn, ask[:])
				_, _ = conn.Write([]byte("S"))
			}
			_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}).HandshakeContext(context.Background())
			_ = conn.Close()
		}
	}()
	return "localhost:" + strings.TrimPrefix(l.Addr().String(), "127.0.0.1:")
}

// TestCertificates shakes hands with real servers whose certificates were made here.
func TestCertificates(t *testing.T) {
	now := time.Now()
	ca := newAuthority(t, now.Add(3650*day))
	old := newAuthority(t, now.Add(5*day))
	other := newAuthority(t, now.Add(3650*day))
	https := func(addr string, x *drills.TLS) *drills.System {
		return &drills.System{Probes: map[string]drills.ProbeSpec{"page": {Kind: "http", URL: "https://" + addr + "/", TLS: x}}}
	}
	trust := &drills.TLS{CA: ca.pem}
	for _, c := range []struct {
		name  string
		sys   func(t *testing.T) *drills.System
		level drills.Level
		says  string
	}{
		{"long", func(t *testing.T) *drills.System {
			return https(ca.serve(t, now.Add(90*day+time.Hour), "localhost", false, false), trust)
		}, drills.LevelOK, "(90 days left), used by probe page"},
		{"soon", func(t *testing.T) *drills.System {
			return https(ca.serve(t, now.Add(29*day+time.Hour), "localhost", false, false), trust)
		}, drills.LevelWarning, "(29 days left)"},
		{"now", func(t *testing.T) *drills.System {
			return https(ca.serve(t, now.Add(6*day+time.Hour), "localhost", false, false), trust)
		}, drills.LevelProblem, "(6 days left)"},
		{"over", func(t *testing.T) *drills.System {
			return https(ca.serve(t, now.Add(-3*day-time.Hour), "localhost", false, false), trust)
		}, drills.LevelProblem, "ended 3 days ago"},
		{"the CA ends first", func(t *testing.T) *drills.System {
			return https(old.serve(t, now.Add(90*day), "localhost", false, true), &drills.TLS{CA: old.pem})
		}, drills.LevelProblem, "test CA, good until"},
		{"another's", func(t *testing.T) *drills.System {
			return https(other.serve(t, now.Add(90*day), "localhost", false, false), trust)
		}, drills.LevelProblem, "unknown authority"},
		{"another name", func(t *testing.T) *drills.System {
			return https(ca.serve(t, now.Add(90*day), "elsewhere", false, false), trust)
		}, drills.LevelProblem, "localhost"},
		{"not to be checked", func(t *testing.T) *drills.System {
			return https(other.serve(t, now.Add(90*day+time.Hour), "elsewhere", false, false), &drills.TLS{Insecure: true})
		}, drills.LevelOK, "(90 days left)"},
		{"nobody there", func(*testing.T) *drills.System { return https("localhost:1", trust) }, drills.LevelNotChecked, "no handshake"},
		{"no TLS at all", func(*testing.T) *drills.System {
			return &drills.System{Probes: map[string]drills.ProbeSpec{"page": {Kind: "http", URL: "http://localhost/"}, "pg": {Kind: "postgres", DSN: "postgres://x@localhost:1/x?sslmode=prefer"}}}
		}, drills.LevelNotChecked, "no declared target speaks TLS"},
		{"PostgreSQL", func(t *testing.T) *drills.System {
			dsn := "postgres://x@" + ca.serve(t, now.Add(20*day+time.Hour), "localhost", true, false) + "/x?sslmode=require"
			return &drills.System{Probes: map[string]drills.ProbeSpec{"pg": {Kind: "postgres", DSN: dsn}}}
		}, drills.LevelWarning, "(20 days left), used by probe pg"},
		{"members of a Redis behind Sentinels", func(t *testing.T) *drills.System {
			member := ca.serve(t, now.Add(20*day+time.Hour), "localhost", false, false)
			return &drills.System{
				Canaries: map[string]drills.CanarySpec{"app": {Kind: "redis", Via: "sentinel", Master: "m", TLS: trust}},
				Components: map[string]drills.Component{
					"redis": {Kind: "redis", Title: member, Roles: &drills.RoleSource{From: "sentinel", Master: "m"}},
					"wrong": {Kind: "redis", Title: "localhost:1", Roles: &drills.RoleSource{From: "sentinel", Master: "n"}},
				},
			}
		}, drills.LevelWarning, "used by canary app"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sys := c.sys(t)
			got := Certificates(t.Context(), CertInput{
				System: sys, Now: now, Dial: new(net.Dialer).DialContext,
				Members: func(name string) []string { return []string{sys.Components[name].Title} },
				Expand: func(s string) (string, error) {
					return strings.TrimSuffix(strings.TrimPrefix(s, "${file:"), "}"), nil
				},
			})
			if len(got) != 1 || got[0].Level != c.level || !strings.Contains(got[0].Found, c.says) {
				t.Errorf("want %s, %q; got %+v", c.level, c.says, got)
			}
		})
	}
}
