package verifier

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/testcontainers/testcontainers-go"
	ready "github.com/testcontainers/testcontainers-go/wait"

	"github.com/eevans-d/simulacro/drills"
)

// needDocker skips without an engine, unless the suite is told to fail instead. The images are the reference system's.
func needDocker(t *testing.T) {
	t.Helper()
	if testing.Short() || os.Getenv("SIMULACRO_NO_DOCKER") != "" {
		t.Skip("needs Docker; not run with -short or SIMULACRO_NO_DOCKER")
	}
	c, err := net.DialTimeout("unix", "/var/run/docker.sock", time.Second)
	if err == nil {
		_ = c.Close()
		err = exec.Command("docker", "image", "inspect", "gad/redis:dev", "gad/patroni:dev").Run() // make images
	}
	if err == nil {
		return
	}
	if os.Getenv("SIMULACRO_REQUIRE_DOCKER") != "" {
		t.Fatalf("SIMULACRO_REQUIRE_DOCKER is set and there is no engine, or not the images of make images: %v", err)
	}
	t.Skipf("no Docker engine, or not the images of make images: %v", err)
}

// authority signs certificates for the name store.test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	ca   string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.ca, _ = a.sign(tmpl, tmpl, nil)
	block, _ := pem.Decode([]byte(a.ca))
	var err error
	if a.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	return a
}

// sign returns a certificate and its new key as PEM; without a signer it signs itself, and the authority keeps the key.
func (a *authority) sign(tmpl, parent *x509.Certificate, signer *ecdsa.PrivateKey) (cert, key string) {
	a.t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if signer == nil {
		signer, a.key = own, own
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, own.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}))
}

func (a *authority) leaf(name string) (cert, key string) {
	return a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, a.key)
}

// store starts a container of a real server and returns its own address: what is published goes through a proxy.
func (a *authority) store(image, user, script, says string) string {
	a.t.Helper()
	cert, key := a.leaf("store.test")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	file := func(name, text string) testcontainers.ContainerFile {
		return testcontainers.ContainerFile{Reader: strings.NewReader(text), ContainerFilePath: "/tls/" + name, FileMode: 0o644}
	}
	c, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{Started: true, ContainerRequest: testcontainers.ContainerRequest{
		Image: image, User: user, Cmd: []string{"bash", "-ec", script}, WaitingFor: ready.ForLog(says).AsRegexp().WithStartupTimeout(time.Minute),
		Files:              []testcontainers.ContainerFile{file("ca.pem", a.ca), file("cert.pem", cert), file("key.pem", key)},
		HostConfigModifier: func(h *container.HostConfig) { h.Memory = 256 << 20 },
	}})
	testcontainers.CleanupContainer(a.t, c)
	if err != nil {
		a.t.Fatal(err)
	}
	ip, err := c.ContainerIP(ctx)
	if err != nil {
		a.t.Fatal(err)
	}
	return ip
}

// redisTLS are the flags of a Redis (or Sentinel) that speaks TLS only and wants a certificate of its clients.
const redisTLS = "--port 0 --tls-ca-cert-file /tls/ca.pem --tls-cert-file /tls/cert.pem --tls-key-file /tls/key.pem --tls-auth-clients yes --tls-replication yes --protected-mode no"

// TestRealStoresOverTLS: Redis behind a Sentinel, and PostgreSQL, that accept nothing but TLS and a password are probed, written
// to and read back; who trusts another authority, or comes without TLS, is refused by them.
func TestRealStoresOverTLS(t *testing.T) {
	needDocker(t)
	t.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true") // its reaper is an image from a registry; every container has its own clean-up here
	a := newAuthority(t)
	cert, key := a.leaf("simulacro")
	trusted := &drills.TLS{CA: a.ca, Cert: cert, Key: key, ServerName: "store.test"}
	stranger := &drills.TLS{CA: newAuthority(t).ca, Cert: cert, Key: key, ServerName: "store.test"}
	redis := net.JoinHostPort(a.store("gad/redis:dev", "redis", "redis-server --tls-port 6379 --requirepass hush --save '' "+redisTLS, "Ready to accept connections"), "6379")
	host, _, _ := net.SplitHostPort(redis)
	watcher := net.JoinHostPort(a.store("gad/redis:dev", "redis", `
		printf 'sentinel monitor m %s 6379 1\nsentinel auth-pass m hush\nrequirepass watch\n' `+host+` >/tmp/s.conf
		redis-sentinel /tmp/s.conf --tls-port 26379 `+redisTLS, `\+monitor master m`), "26379")
	pg := a.store("gad/patroni:dev", "postgres", `
		PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
		initdb -D /tmp/data --auth-host=scram-sha-256 --pwfile=<(echo hush) -U app >/dev/null
		echo 'create schema simulacro' | postgres --single -D /tmp/data postgres >/dev/null
		install -m 600 /tls/key.pem /tmp/data/key.pem
		echo 'hostssl all all all scram-sha-256' >/tmp/data/pg_hba.conf
		exec postgres -D /tmp/data -c listen_addresses='*' -c unix_socket_directories=/tmp -c ssl=on \
			-c ssl_cert_file=/tls/cert.pem -c ssl_key_file=/tmp/data/key.pem -c log_destination=stderr`, "database system is ready to accept connections")

	auth := func(tls *drills.TLS, password string) *drills.SentinelAuth {
		return &drills.SentinelAuth{Password: password, TLS: tls}
	}
	via := drills.ProbeSpec{Kind: "redis", Via: "sentinel", Sentinels: []string{watcher}, Master: "m", Password: "hush", TLS: trusted, SentinelAuth: auth(trusted, "watch")}
	with := func(change func(*drills.ProbeSpec)) drills.ProbeSpec {
		s := via
		change(&s)
		return s
	}
	dsn := func(options string) drills.ProbeSpec {
		return drills.ProbeSpec{Kind: "postgres", DSN: "postgres://app:hush@" + pg + ":5432/postgres?" + options, Operation: "write"}
	}
	verified := dsn("sslmode=verify-full")
	verified.TLS = trusted
	misled := dsn("sslmode=verify-full")
	misled.TLS = stranger
	for _, tt := range []struct {
		name string
		spec drills.ProbeSpec
		want Class
	}{
		{"rediss by way of a Sentinel", via, Good},
		{"rediss, another authority", with(func(s *drills.ProbeSpec) { s.TLS = stranger }), Failed},
		{"rediss, no TLS", with(func(s *drills.ProbeSpec) { s.TLS = nil }), Failed},
		{"Sentinel, no TLS", with(func(s *drills.ProbeSpec) { s.SentinelAuth = auth(nil, "watch") }), Failed},
		{"Sentinel, wrong password", with(func(s *drills.ProbeSpec) { s.SentinelAuth = auth(trusted, "guess") }), Unauthorised},
		{"Sentinel, no password", with(func(s *drills.ProbeSpec) { s.SentinelAuth = auth(trusted, "") }), Unauthorised},
		{"PostgreSQL, certificate checked", verified, Good},
		{"PostgreSQL, another authority", misled, Failed},
		{"PostgreSQL, sslmode=require", dsn("sslmode=require"), Good},
		{"PostgreSQL, sslmode=disable", dsn("sslmode=disable"), Unauthorised},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.spec.Timeout = ms(2000)
			c, err := newChecker("tls", tt.spec)
			if err != nil {
				t.Fatal(err)
			}
			if got := probeKept(t, c, 2*time.Second); got.class != tt.want {
				t.Errorf("%s (%s), want %s", got.class, got.text, tt.want)
			}
		})
	}
	t.Run("canaries", func(t *testing.T) {
		for _, spec := range []drills.CanarySpec{
			{Kind: "redis", Via: "sentinel", Sentinels: []string{watcher}, Master: "m", Password: "hush", TLS: trusted, SentinelAuth: via.SentinelAuth, Keys: "simulacro:{run}:*"},
			{Kind: "postgres", DSN: verified.DSN, TLS: trusted, Table: "simulacro.canary_{run}"},
		} {
			spec.Every, spec.Timeout, spec.Connection, spec.Purge = ms(10), ms(1000), "persistent", true
			at := map[string]string{"redis": redis, "postgres": net.JoinHostPort(pg, "5432")}[spec.Kind]
			c := NewCanary(CanaryConfig{
				Name: "tls", Run: "run1", Spec: spec, Launcher: &inProcess{t: t}, Samples: newMemSamples(),
				Members: func(context.Context) ([]MemberAddr, error) { return []MemberAddr{{"store", at}}, nil },
			})
			lossless(t, c)
		}
	})
}

// lossless runs a canary for a second: it must find again what it wrote, all of it.
func lossless(t *testing.T, c *Canary) {
	t.Helper()
	if err := c.Start(t.Context(), func(drills.Event) {}); err != nil {
		t.Fatal(err)
	}
	drills.Wait(t.Context(), time.Second)
	if err := c.ReadBack(t.Context(), drills.Timing{}); err != nil {
		t.Fatal(err)
	}
	m := finished(t, c, drills.Timing{})
	if m.Error != "" || m.Acked < 30 || m.Lost != 0 || !m.Purged {
		t.Errorf("%s: %+v", m.Kind, m)
	}
}

// probeKept probes once, with what the check has to keep up beside it.
func probeKept(t *testing.T, c checker, timeout time.Duration) result {
	t.Helper()
	k, ok := c.(keeper)
	if !ok {
		return probeOnce(t, c, timeout)
	}
	ctx, cancel := context.WithCancel(t.Context())
	opened, done := make(chan struct{}), make(chan struct{})
	var once sync.Once
	go func() { defer close(done); k.keep(ctx, func() { once.Do(func() { close(opened) }) }) }()
	defer func() { cancel(); <-done }()
	<-opened
	drills.Wait(ctx, dialSpacing) // a pool that has just been refused waits so long before it dials again
	return probeOnce(t, c, timeout)
}
