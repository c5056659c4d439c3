package commondb

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"longhaul/internal/archive/archivetest"
	"longhaul/internal/pipeline"
	"longhaul/internal/results"
)

func TestWhatIsWrongIsTold(t *testing.T) {
	onServers(t, func(t *testing.T, b backend) {
		good := b.options(t)
		admin := open(t, good)
		empty := b.options(t)
		limited := strings.ReplaceAll(good.Database, "test", "limited")
		if b == Postgres {
			alter(t, admin, `CREATE ROLE `+limited+` LOGIN PASSWORD 'little-secret' CONNECTION LIMIT 0`)
		} else {
			alter(t, admin, `CREATE USER `+limited+` IDENTIFIED BY 'little-secret' WITH MAX_USER_CONNECTIONS 1`)
			alter(t, admin, `GRANT SELECT ON *.* TO `+limited)
			first := good
			first.Username, first.Password = limited, "little-secret"
			held, err := open2(t, first).write.Conn(t.Context())
			must(t, err)
			defer held.Close()
		}
		stranger, err := archivetest.NewCA()
		must(t, err)
		otherCA := filepath.Join(t.TempDir(), "other.pem")
		must(t, stranger.WritePEM(otherCA))
		elsewhere, _ := through(t, good, "127.0.0.2")
		closed, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		must(t, closed.Close())
		port := func(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }
		for _, tt := range []struct {
			name   string
			change func(*Options)
			cause  Cause
			also   error
			want   string
		}{
			{"a wrong password", func(o *Options) { o.Password = "wrong-secret" }, LoginRefused, pipeline.ErrOutage, "commondb.username"},
			{"an unknown user", func(o *Options) { o.Username = "nobody" }, LoginRefused, pipeline.ErrOutage, "nobody"},
			{"no such database", func(o *Options) { o.Database = "nonsense" }, NoDatabase, pipeline.ErrOutage, "nonsense"},
			{"a database without tables", func(o *Options) { o.Database = empty.Database }, NoTables, pipeline.ErrNotFound, "longhaul commondb init"},
			{"a port where nobody listens", func(o *Options) { o.Port = port(closed) }, Unreachable, pipeline.ErrOutage, "commondb.host"},
			{"a name that nobody has", func(o *Options) { o.Host = "nobody.invalid" }, Unreachable, pipeline.ErrOutage, "nobody.invalid"},
			{"a socket that is not there", func(o *Options) { o.Host = "/nonexistent" }, Unreachable, pipeline.ErrOutage, "/nonexistent"},
			{"an authority that is not the system's", func(o *Options) { o.CAFile = "" }, BadTLS, pipeline.ErrOutage, "commondb.tls_ca"},
			{"another authority", func(o *Options) { o.CAFile = otherCA }, BadTLS, pipeline.ErrOutage, "commondb.tls_ca"},
			{"the certificate of another host", func(o *Options) { o.Host, o.Port = "127.0.0.2", port(elsewhere.listener) }, BadTLS, pipeline.ErrOutage, "127.0.0.2"},
			{"too many connections", func(o *Options) { o.Username, o.Password = limited, "little-secret" }, TooMany, pipeline.ErrOutage, "limit"},
		} {
			o := good
			tt.change(&o)
			db, err := Open(t.Context(), o)
			if db != nil {
				t.Errorf("%s: it was opened", tt.name)
			}
			var p *Problem
			if !errors.As(err, &p) || p.Cause != tt.cause || !errors.Is(err, tt.also) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: Open = %v\nwant %q (%v) with %q", tt.name, err, tt.cause, tt.also, tt.want)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "secret") {
				t.Errorf("%s: the password is told: %v", tt.name, err)
			}
		}
		for _, o := range []Options{
			{Driver: string(b), Database: "d"},
			{Driver: string(b), Host: "h"},
			{Driver: string(b), Host: "h", Database: "d", TLS: "maybe"},
			{Driver: string(b), Host: "h", Database: "d", CAFile: "/nonexistent.pem"},
			{Driver: string(b), Host: "h", Database: "d", CAFile: "problem.go"},
		} {
			if _, err := Open(t.Context(), o); !errors.Is(err, pipeline.ErrFatal) {
				t.Errorf("Open(%v) = %v, want ErrFatal", o, err)
			}
		}
	})
}

func TestReadOnlyIsTold(t *testing.T) {
	t.Parallel()
	o := backend(Postgres).options(t)
	admin := open(t, o)
	alter(t, admin, `ALTER DATABASE `+o.Database+` SET default_transaction_read_only = on`)
	_, err := open2(t, o).Upload(t.Context(), meta("s1"), []results.Record{beam(3)})
	var p *Problem
	if !errors.Is(err, pipeline.ErrOutage) || !errors.As(err, &p) || p.Cause != ReadOnly {
		t.Errorf("Upload = %v, want an outage: read-only", err)
	}
}

func TestATableThatIsLostIsAnOutage(t *testing.T) {
	onServers(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		for _, table := range []string{"diagnostics", "diagnostic_plots", "pdm_candidate_plots", "pdm_candidates",
			"sp_plots", "sp_files", "headers", "uploads"} {
			alter(t, db, `DROP TABLE `+table)
		}
		var p *Problem
		for name, err := range map[string]error{
			"Upload": func() error { _, err := db.Upload(t.Context(), meta("s1"), []results.Record{beam(3)}); return err }(),
			"Check":  db.Check(t.Context()),
			"Find":   func() error { _, _, err := db.Find(t.Context(), "s1"); return err }(),
		} {
			if !errors.Is(err, pipeline.ErrOutage) || !errors.As(err, &p) || p.Cause != NoTables {
				t.Errorf("%s = %v, want an outage: tables missing", name, err)
			}
		}
		said := ""
		for _, f := range db.Inspect(t.Context()) {
			said += fmt.Sprintln(f.OK, f.What, f.Detail)
		}
		if !strings.Contains(said, "false tables") || !strings.Contains(said, "there is no table diagnostics; there is no table headers") {
			t.Errorf("Inspect says %s", said)
		}
	})
}

// TestErrorsAreSorted has those that no test can have a server say.
func TestErrorsAreSorted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err   error
		is    error
		cause Cause
	}{
		{&pgconn.PgError{Code: "53100"}, pipeline.ErrOutage, DiskFull},
		{&pgconn.PgError{Code: "53200"}, pipeline.ErrOutage, ""},
		{&pgconn.PgError{Code: "57P01"}, pipeline.ErrOutage, ShuttingDown},
		{&pgconn.PgError{Code: "57P03"}, pipeline.ErrOutage, ShuttingDown},
		{&pgconn.PgError{Code: "58030"}, pipeline.ErrOutage, ""},
		{&pgconn.PgError{Code: "40001"}, pipeline.ErrOutage, Contended},
		{&pgconn.PgError{Code: "XX000"}, pipeline.ErrOutage, ""},
		{&pgconn.PgError{Code: "XX001"}, pipeline.ErrFatal, ""},
		{&pgconn.PgError{Code: "42601"}, pipeline.ErrFatal, ""},
		{&pgconn.PgError{Code: "23503", Detail: "no such key"}, ErrRejected, ""},
		{&pgconn.PgError{Code: "54000"}, ErrRejected, ""},
		{&pgconn.PgError{Code: "P0001"}, ErrRejected, ""},
		{&mysql.MySQLError{Number: 1021}, pipeline.ErrOutage, DiskFull},
		{&mysql.MySQLError{Number: 1114}, pipeline.ErrOutage, DiskFull},
		{&mysql.MySQLError{Number: 1053}, pipeline.ErrOutage, ShuttingDown},
		{&mysql.MySQLError{Number: 1205}, pipeline.ErrOutage, Contended},
		{&mysql.MySQLError{Number: 1290}, pipeline.ErrOutage, ReadOnly},
		{&mysql.MySQLError{Number: 9999}, pipeline.ErrOutage, ""},
		{&mysql.MySQLError{Number: 1194}, pipeline.ErrFatal, ""},
		{&mysql.MySQLError{Number: 1064}, pipeline.ErrFatal, ""},
		{&mysql.MySQLError{Number: 1406}, ErrRejected, ""},
		{&mysql.MySQLError{Number: 1153}, ErrRejected, ""},
		{io.ErrUnexpectedEOF, pipeline.ErrOutage, ""},
	} {
		classify := postgresError
		if mysqlCode(tt.err) != 0 {
			classify = mysqlError
		}
		got := classify(fmt.Errorf("upload: %w", tt.err))
		var p *Problem
		errors.As(got, &p)
		if !errors.Is(got, tt.is) || (p != nil) != (tt.cause != "") || p != nil && p.Cause != tt.cause {
			t.Errorf("%v is sorted as %v, want %v %q", tt.err, got, tt.is, tt.cause)
		}
	}
}

func TestThePasswordIsNeverPrinted(t *testing.T) {
	t.Parallel()
	o := Options{Driver: Postgres, Host: "h", Database: "d", Username: "u", Password: "top-secret"}
	text, err := json.Marshal(struct{ P Password }{o.Password})
	must(t, err)
	for _, said := range []string{o.String(), fmt.Sprintf("%v|%+v|%#v|%s|%q", o, o, o, o.Password, o.Password), fmt.Sprintf("%+v %x", struct{ O Options }{o}, o.Password), string(text)} {
		if strings.Contains(said, "top-secret") || strings.Contains(said, fmt.Sprintf("%x", "top-secret")) {
			t.Errorf("it is told: %s", said)
		}
	}
}
