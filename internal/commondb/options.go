package commondb

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"longhaul/internal/pipeline"
)

// The kinds of database systems.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
	MySQL    = "mysql" // and MariaDB
)

// Drivers are the names that Options.Driver can have.
func Drivers() []string { return []string{SQLite, Postgres, MySQL} }

// DefaultTimeout bounds one whole upload, and every other call, unless Options
// says otherwise.
const DefaultTimeout = 5 * time.Minute

// connectTimeout bounds how long a server may take to let us in.
const connectTimeout = 15 * time.Second

// Options say where the common database is.
type Options struct {
	Driver   string // of Drivers; "" means sqlite
	Database string // path of the file (sqlite), or the database's name on the server
	Timeout  time.Duration
	Now      func() time.Time // nil: time.Now

	// Of a server alone.
	Host     string // name or address; beginning with /: the socket (mysql), or its directory (postgres)
	Port     int    // 0: the system's usual one
	Username string
	Password Password
	TLS      string // "verify" or "": the certificate must be Host's; "off": no TLS, for a host that is trusted
	CAFile   string // PEM, of who issued the certificate; "": the system's

	files fs.FS // the schema; nil: ours
}

// Password is kept out of everything that is printed.
type Password string

// String hides it, however it is printed.
func (Password) String() string { return "(hidden)" }

// GoString hides it from %#v.
func (Password) GoString() string { return "(hidden)" }

// MarshalText hides it from JSON and logs.
func (Password) MarshalText() ([]byte, error) { return []byte("(hidden)"), nil }

func (o Options) withDefaults() (Options, error) {
	o.Driver = cmp.Or(o.Driver, SQLite)
	switch {
	case !slices.Contains(Drivers(), o.Driver):
		return o, pipeline.Fatal(fmt.Errorf("common database: no driver %q; there are %s", o.Driver, strings.Join(Drivers(), ", ")))
	case o.Database == "" && o.Driver == SQLite:
		return o, pipeline.Fatal(errors.New("common database: no file is named; set commondb.database"))
	case o.Database == "":
		return o, pipeline.Fatal(errors.New("common database: no database is named; set commondb.database"))
	case o.Driver != SQLite && o.Host == "":
		return o, pipeline.Fatal(errors.New("common database: no server is named; set commondb.host"))
	case o.TLS != "" && o.TLS != "verify" && o.TLS != "off":
		return o, pipeline.Fatal(fmt.Errorf(`common database: TLS is %q; it must be "verify" or "off"`, o.TLS))
	}
	if o.Port == 0 {
		o.Port = map[string]int{Postgres: 5432, MySQL: 3306}[o.Driver]
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// String names the database for messages, without the password.
func (o Options) String() string {
	if o.Driver == SQLite || o.Driver == "" {
		return o.Database
	}
	return fmt.Sprintf("%s on %s (%s, user %s)", o.Database, o.address(), o.Driver, o.Username)
}

func (o Options) socket() bool { return strings.HasPrefix(o.Host, "/") }

func (o Options) address() string {
	if o.socket() {
		return o.Host
	}
	return net.JoinHostPort(o.Host, strconv.Itoa(o.Port))
}

// tls is what the connection is secured with; nil for none.
func (o Options) tls() (*tls.Config, error) {
	if o.TLS == "off" || o.socket() {
		return nil, nil
	}
	c := &tls.Config{ServerName: o.Host, MinVersion: tls.VersionTLS12}
	if o.CAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, pipeline.Fatal(fmt.Errorf("the certificate authority of the common database: %w; correct the setting of its file", err))
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, pipeline.Fatal(fmt.Errorf("%s has no certificate in PEM form", o.CAFile))
	}
	return c, nil
}
