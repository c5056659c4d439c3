package archivetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime is how long the certificates are good for.
const lifetime = 365 * 24 * time.Hour

// CA is a private certificate authority that has issued one server certificate,
// for localhost, 127.0.0.1 and ::1. Its own key is thrown away once it has.
type CA struct {
	authority []byte // PEM
	server    []byte // PEM: certificate and key
	pair      tls.Certificate
}

// NewCA makes a certificate authority and the server's certificate, in memory.
func NewCA() (*CA, error) {
	authority := template("Longhaul test authority")
	authority.IsCA = true
	authority.BasicConstraintsValid = true
	authority.KeyUsage = x509.KeyUsageCertSign
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, err
	}
	server := template("localhost")
	server.DNSNames = []string{"localhost"}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	server.KeyUsage = x509.KeyUsageDigitalSignature
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serverDER, err := x509.CreateCertificate(rand.Reader, server, authority, serverKey.Public(), authorityKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		return nil, err
	}
	return load(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authorityDER}),
		append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: serverDER}),
			pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...))
}

func template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(lifetime),
	}
}

// load puts a CA together from PEM and checks that it will do for a while.
func load(authority, server []byte) (*CA, error) {
	pair, err := tls.X509KeyPair(server, server)
	if err != nil {
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("no certificate of the authority")
	}
	_, err = pair.Leaf.Verify(x509.VerifyOptions{
		Roots: roots, DNSName: "localhost", CurrentTime: time.Now().Add(lifetime / 12),
	})
	if err != nil {
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	return &CA{authority, server, pair}, nil
}

// OpenCA returns the CA that is kept in a directory, as ca.pem and server.pem.
// It makes one if there is none, or one that is damaged or about to expire.
func OpenCA(dir string) (*CA, error) {
	authorityFile, serverFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "server.pem")
	authority, authorityErr := os.ReadFile(authorityFile)
	server, serverErr := os.ReadFile(serverFile)
	if authorityErr == nil && serverErr == nil {
		if ca, err := load(authority, server); err == nil {
			return ca, nil
		}
	}
	ca, err := NewCA()
	if err != nil {
		return nil, err
	}
	return ca, errors.Join(
		os.WriteFile(serverFile, ca.server, 0o600),
		ca.WritePEM(authorityFile))
}

// WritePEM writes the authority's certificate, which clients are to trust, to a file.
func (ca *CA) WritePEM(path string) error { return os.WriteFile(path, ca.authority, 0o640) }

// Pool returns the authority as a client wants it.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.authority)
	return pool
}

// ServerConfig returns a configuration for a TLS server.
func (ca *CA) ServerConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{ca.pair}, MinVersion: tls.VersionTLS12}
}
