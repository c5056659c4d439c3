package archive

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Ways to protect the connections to the file server.
const (
	TLSOff      = "off"
	TLSExplicit = "explicit" // AUTH TLS on the control connection, PROT P for data
	TLSImplicit = "implicit" // TLS from the first byte on, as on port 990
)

// trusted returns the authorities to be trusted: those given, those of a PEM
// file, or nil for those of the system.
func trusted(given *x509.CertPool, file string) (*x509.CertPool, error) {
	if given != nil || file == "" {
		return given, nil
	}
	return loadCA(file)
}

// loadCA reads a PEM file of certificates that are to be trusted.
func loadCA(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM form", path)
	}
	return pool, nil
}

// tlsConfig is for one control connection and its data connections, and for no
// other. Servers (vsftpd with require_ssl_reuse, proftpd by default) refuse a
// data connection that does not resume the TLS session of its own control
// connection; the session cache makes that happen. A cache shared by several
// control connections hands out the sessions of the wrong one.
func (f *FTP) tlsConfig() *tls.Config {
	return &tls.Config{
		ServerName:         f.opts.Host, // the key of the cache: the same for control and data
		RootCAs:            f.opts.RootCAs,
		MinVersion:         tls.VersionTLS12,
		MaxVersion:         f.opts.TLSMax,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
}

// explainTLS says what to do about a certificate that was not accepted.
func (f *FTP) explainTLS(err error) error {
	return explainCertificate(err, f.opts.Host, "ftp_tls_ca", "ftp_host")
}

// explainCertificate names the two settings that decide whether the
// certificate of a server is accepted.
func explainCertificate(err error, host, caSetting, hostSetting string) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		return err
	}
	return fmt.Errorf("certificate of %s is not trusted: %w (a private CA is given by %s, "+
		"and %s must be a name in the certificate)", host, err, caSetting, hostSetting)
}
