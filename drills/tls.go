package drills

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// Expanded is a copy with the text of the CA, Cert and Key files in place of their paths, and references resolved by expand.
// Nil in, nil out. An error names the reference, never a value.
func (t *TLS) Expanded(expand func(string) (string, error)) (*TLS, error) {
	if t == nil {
		return nil, nil
	}
	out := *t
	var errs []error
	for _, f := range []*string{&out.CA, &out.Cert, &out.Key, &out.ServerName} {
		if f != &out.ServerName && *f != "" && !strings.Contains(*f, "${") && !strings.HasPrefix(*f, "-----BEGIN") {
			*f = "${file:" + *f + "}"
		}
		v, err := expand(*f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		*f = v
	}
	return &out, errors.Join(errs...)
}

// Config is the client configuration of an expanded TLS. Nil in, nil out: no TLS.
func (t *TLS) Config() (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	cfg := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.Insecure, MinVersion: tls.VersionTLS12} //nolint:gosec // asked for by the system file, and recorded
	if t.CA != "" {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
			return nil, errors.New("tls: no certificate in the CA file: it must be PEM")
		}
	}
	if t.Cert != "" || t.Key != "" {
		pair, err := tls.X509KeyPair([]byte(t.Cert), []byte(t.Key))
		if err != nil {
			return nil, fmt.Errorf("tls: client certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// Expanded is a copy with every reference resolved by expand. Nil in, nil out.
func (a *SentinelAuth) Expanded(expand func(string) (string, error)) (*SentinelAuth, error) {
	if a == nil {
		return nil, nil
	}
	user, errUser := expand(a.Username)
	password, errPassword := expand(a.Password)
	t, errTLS := a.TLS.Expanded(expand)
	return &SentinelAuth{Username: user, Password: password, TLS: t}, errors.Join(errUser, errPassword, errTLS)
}
