package commondb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"longhaul/internal/pipeline"
)

// Cause is what is wrong with the common database, as far as a person has to
// do something else about it.
type Cause string

// The causes.
const (
	Unreachable   Cause = "the server does not answer"
	BadTLS        Cause = "no secure connection"
	LoginRefused  Cause = "the server refuses the login"
	NoDatabase    Cause = "there is no such database"
	NoTables      Cause = "the tables are missing"
	WrongVersion  Cause = "the tables have another version"
	NoRight       Cause = "the user may not do this"
	ReadOnly      Cause = "the database is read-only"
	DiskFull      Cause = "the server's disk is full"
	TooMany       Cause = "the server has too many connections"
	ShuttingDown  Cause = "the server is stopping or starting"
	Contended     Cause = "others were writing the same rows"
	NoTransaction Cause = "a table has no transactions"
)

// do says what a person does about each cause.
func (c Cause) do() string {
	switch c {
	case Unreachable:
		return "is the server running, and do commondb.host and commondb.port name it? A firewall may be in the way"
	case BadTLS:
		return "the server must have TLS (commondb.tls = \"off\" does without, on a network that is trusted); commondb.tls_ca must name the authority that issued its certificate, and commondb.host the server as its certificate does"
	case LoginRefused:
		return "compare commondb.username and its password with the server's; the server may also refuse this host (pg_hba.conf, or the host part of the account)"
	case NoDatabase:
		return "correct commondb.database, or have the database made"
	case NoTables:
		return "\"longhaul commondb init\" makes them"
	case NoRight:
		return "\"longhaul commondb init --print\" shows the rights that it needs; have them granted"
	case ReadOnly:
		return "commondb.host must name the server that is written to, not a copy of it; or its administrator has locked it"
	case DiskFull:
		return "make room on the server"
	case TooMany:
		return "raise the server's limit, or end what holds its connections"
	case NoTransaction:
		return "ALTER TABLE … ENGINE=InnoDB"
	case ShuttingDown, Contended:
		return "it is tried again"
	}
	return ""
}

// Problem is an error of the common database with its cause and what to do. It
// is found by errors.As in the errors of this package.
type Problem struct {
	Cause Cause
	Err   error // what the database or the network said
}

func (p *Problem) Error() string {
	if do := p.Cause.do(); do != "" {
		return fmt.Sprintf("%s: %v; %s", p.Cause, p.Err, do)
	}
	return fmt.Sprintf("%s: %v", p.Cause, p.Err)
}

// Unwrap is what the database said.
func (p *Problem) Unwrap() error { return p.Err }

// outage is an outage of the common database; an empty cause is one that needs
// no other words than the server's.
func outage(c Cause, err error) error {
	if c != "" {
		err = &Problem{c, err}
	}
	return pipeline.Outage(pipeline.CommonDatabase, err)
}

// networkError gives an error that is not the server's its meaning. All are
// outages: what the network does may pass, and what is set wrong is told.
func networkError(err error) error {
	var (
		dns         *net.DNSError
		authority   x509.UnknownAuthorityError
		host        x509.HostnameError
		invalid     x509.CertificateInvalidError
		record      tls.RecordHeaderError
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
	)
	switch {
	case errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid),
		errors.As(err, &record), errors.As(err, &certificate), errors.As(err, &alert):
		return outage(BadTLS, err)
	case errors.As(err, &dns), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH),
		errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ENOENT), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, syscall.ETIMEDOUT):
		return outage(Unreachable, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return outage("", fmt.Errorf("the server closed the connection: %w", err))
	}
	return outage("", err)
}
