package engines

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificates are PEM files for servers on loopback and for their clients.
type Certificates struct {
	CA      string // what clients are to trust
	OtherCA string // of somebody else

	// Server is good for localhost, 127.0.0.1, 127.0.0.2 and ::1, Wrong for
	// wrong.example only; both are of CA. Each has a file for the certificate,
	// one for its key, and one with both, which some servers want.
	Server, Wrong Certificate
}

// Certificate is the certificate of a server.
type Certificate struct{ Cert, Key, Both string }

// NewCertificates makes certificates in a directory. They are good for a day.
// Servers that do not start as root have to be given their keys: see Own.
func NewCertificates(dir string) (*Certificates, error) {
	ca, err := newAuthority("Longhaul test authority")
	if err != nil {
		return nil, err
	}
	other, err := newAuthority("Another test authority")
	if err != nil {
		return nil, err
	}
	c := &Certificates{CA: filepath.Join(dir, "ca.pem"), OtherCA: filepath.Join(dir, "other-ca.pem")}
	for path, a := range map[string]*authority{c.CA: ca, c.OtherCA: other} {
		if err := writePEM(path, 0o644, "CERTIFICATE", a.cert.Raw); err != nil {
			return nil, err
		}
	}
	here := []string{"localhost", "127.0.0.1", "127.0.0.2", "::1"}
	if c.Server, err = ca.issue(filepath.Join(dir, "server"), here...); err != nil {
		return nil, err
	}
	c.Wrong, err = ca.issue(filepath.Join(dir, "wrong"), "wrong.example")
	return c, err
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := certificateFor(name)
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert, key}, err
}

func certificateFor(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
	}
}

// issue makes a certificate for names and addresses, in files that begin with base.
func (a *authority) issue(base string, names ...string) (Certificate, error) {
	c := Certificate{Cert: base + ".crt", Key: base + ".key", Both: base + ".pem"}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, err
	}
	t := certificateFor(names[0])
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return c, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return c, err
	}
	if err := writePEM(c.Cert, 0o644, "CERTIFICATE", der); err != nil {
		return c, err
	}
	if err := writePEM(c.Key, 0o600, "PRIVATE KEY", secret); err != nil {
		return c, err
	}
	return c, writePEM(c.Both, 0o600, "PRIVATE KEY", secret, "CERTIFICATE", der)
}

// writePEM writes a block for each further pair of kind and content.
func writePEM(path string, mode os.FileMode, kind string, content []byte, more ...any) error {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
	for i := 0; i+1 < len(more); i += 2 {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: more[i].(string), Bytes: more[i+1].([]byte)})...)
	}
	return os.WriteFile(path, text, mode)
}
