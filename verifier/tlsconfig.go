package verifier

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/eevans-d/simulacro/drills"
)

// clientTLS builds a client configuration from a spec whose CA, Cert and Key hold PEM text (the orchestrator has read
// the files). Nil in, nil out.
func clientTLS(t *drills.TLS) (*tls.Config, error) {
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
