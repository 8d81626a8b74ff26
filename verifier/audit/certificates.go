package audit

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/eevans-d/simulacro/drills"
)

const (
	// certSoon and certNow are how many days before its end a certificate is a warning and a problem: a month is time enough to
	// renew it by hand, a week is not enough for surprises.
	certSoon, certNow = 30 * 24 * time.Hour, 7 * 24 * time.Hour

	certWithin   = 5 * time.Second // one handshake
	certParallel = 4
)

// CertInput is what looking at certificates needs.
type CertInput struct {
	System *drills.System
	Expand func(string) (string, error)
	// Members gives the addresses (host:port) of a component's members at its data port.
	Members func(component string) []string
	// Dial connects to an address inside the system's networks, or on the host.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	Now  time.Time
}

// Certificates shakes hands with every declared target that speaks TLS and says how long its certificate is still good. One
// diagnosis per target.
func Certificates(ctx context.Context, in CertInput) []drills.Diagnosis {
	targets, err := in.targets()
	out := make([]drills.Diagnosis, len(targets))
	var wg sync.WaitGroup
	slots := make(chan struct{}, certParallel)
	for i, t := range targets {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			out[i] = in.look(ctx, t)
		})
	}
	wg.Wait()
	if err != nil {
		out = append(out, drills.Diagnosis{Part: "system", What: "TLS targets", Level: drills.LevelNotChecked, Found: err.Error(), Mend: "see the check of secrets"})
	}
	if len(out) == 0 {
		out = append(out, drills.Diagnosis{
			Part: "system", What: "TLS certificates", Level: drills.LevelNotChecked, Found: "no declared target speaks TLS",
			Why: "certificates that end are found only where a target is declared by https, wss, tls: or sslmode",
		})
	}
	return out
}

// tlsTarget is one address that is entered by TLS, and for whom.
type tlsTarget struct {
	address string // host:port
	tls     *drills.TLS
	config  *tls.Config // in place of tls, where it is known already
	pg      bool        // PostgreSQL, which asks for TLS in words of its own
	uses    []string
}

func (in CertInput) look(ctx context.Context, t tlsTarget) drills.Diagnosis {
	d := drills.Diagnosis{Part: "system", What: "certificate of " + t.address, Level: drills.LevelOK}
	cfg, err := in.config(t)
	var chain []*x509.Certificate
	if err == nil {
		chain, err = in.handshake(ctx, t, cfg)
	}
	if err != nil {
		d.Level, d.Found, d.Why = drills.LevelNotChecked, "no handshake: "+err.Error(), "used by "+strings.Join(t.uses, ", ")
		return d
	}
	end := earliest(chain)
	left := end.NotAfter.Sub(in.Now)
	d.Found = fmt.Sprintf("%s, good until %s (%s left), used by %s", named509(end), end.NotAfter.UTC().Format("2006-01-02 15:04 MST"), days(left), strings.Join(t.uses, ", "))
	switch {
	case left < 0:
		d.Level, d.Found = drills.LevelProblem, fmt.Sprintf("%s ended %s ago, on %s; used by %s", named509(end), days(-left), end.NotAfter.UTC().Format("2006-01-02"), strings.Join(t.uses, ", "))
	case left < certNow:
		d.Level = drills.LevelProblem
	case left < certSoon:
		d.Level = drills.LevelWarning
	}
	if d.Level != drills.LevelOK {
		d.Why, d.Mend = "when it ends, every client that checks it is turned away at once, on all members", "renew it, and have its renewal watched"
		return d
	}
	if err := trusted(chain, cfg, in.Now); err != nil && (t.tls == nil || !t.tls.Insecure) {
		d.Level, d.Found = drills.LevelProblem, err.Error()
		d.Why, d.Mend = "a client that checks it is turned away; used by "+strings.Join(t.uses, ", "), "have it signed for this name by a CA that clients trust, or give tls: ca in the system file"
	}
	return d
}

// config is the client's settings, with the server's name.
func (in CertInput) config(t tlsTarget) (*tls.Config, error) {
	cfg := t.config
	if cfg == nil {
		files, err := t.tls.Expanded(in.Expand)
		if err != nil {
			return nil, err
		}
		if cfg, err = files.Config(); err != nil {
			return nil, err
		}
	}
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	cfg = cfg.Clone()
	host, _, err := net.SplitHostPort(t.address)
	cfg.ServerName = cmp.Or(cfg.ServerName, host)
	return cfg, err
}

// handshake returns what the server shows, whatever is to be said against it.
func (in CertInput) handshake(ctx context.Context, t tlsTarget, cfg *tls.Config) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, certWithin, fmt.Errorf("not done within %s", certWithin))
	defer cancel()
	conn, err := in.Dial(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // nothing was said that could be lost
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if t.pg {
		if err := askPostgres(conn); err != nil {
			return nil, err
		}
	}
	seen := cfg.Clone()
	seen.InsecureSkipVerify, seen.VerifyConnection, seen.VerifyPeerCertificate = true, nil, nil // it is looked at afterwards
	c := tls.Client(conn, seen)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return c.ConnectionState().PeerCertificates, nil
}

// askPostgres sends PostgreSQL's SSLRequest, which is answered by one letter.
func askPostgres(conn net.Conn) error {
	ask := binary.BigEndian.AppendUint32(nil, 8)
	if _, err := conn.Write(binary.BigEndian.AppendUint32(ask, 80877103)); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := conn.Read(answer[:]); err != nil {
		return err
	}
	if answer[0] != 'S' {
		return errors.New("the server refuses TLS")
	}
	return nil
}

// earliest is the certificate of the chain that ends first.
func earliest(chain []*x509.Certificate) *x509.Certificate {
	out := chain[0]
	for _, c := range chain[1:] {
		if c.NotAfter.Before(out.NotAfter) {
			out = c
		}
	}
	return out
}

// trusted checks the chain as a client of these settings would.
func trusted(chain []*x509.Certificate, cfg *tls.Config, now time.Time) error {
	if cfg.InsecureSkipVerify && cfg.VerifyPeerCertificate == nil && cfg.VerifyConnection == nil {
		return nil // this client does not check
	}
	o := x509.VerifyOptions{Roots: cfg.RootCAs, DNSName: cfg.ServerName, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(o)
	return err
}

func named509(c *x509.Certificate) string {
	return cmp.Or(c.Subject.CommonName, strings.Join(c.DNSNames, " "), "serial "+c.SerialNumber.String())
}

func days(d time.Duration) string { return plural(int(d/(24*time.Hour)), "day") }
