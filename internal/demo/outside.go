package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"longhaul/internal/commondb"
	"longhaul/internal/config"
	"longhaul/internal/site"
)

// Queues are the queue managers that a demo can be run on: those that need no
// more than their commands.
func Queues() []string { return []string{"local", "slurm", "gridengine"} }

// CommonDBs are the kinds of common database that a demo can use.
func CommonDBs() []string { return commondb.Drivers() }

// server says by which variables the clients of a database system are told
// where it is and who they are.
type server struct{ host, port, user, password, database string }

func servers() map[string]server {
	return map[string]server{
		commondb.Postgres: {"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"},
		commondb.MySQL:    {"MYSQL_HOST", "MYSQL_TCP_PORT", "MYSQL_USER", "MYSQL_PWD", "MYSQL_DATABASE"},
	}
}

// commonDB is the configuration of the common database.
func (d *demo) commonDB() (string, error) {
	s, ok := servers()[d.opt.CommonDB]
	if !ok {
		return fmt.Sprintf("database = %q", d.at.path("commondb.db")), nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "driver = %q\ntls = \"off\" # the demo's server is on this host\n", d.opt.CommonDB)
	var missing []string
	for _, v := range []struct{ key, variable string }{
		{"host", s.host}, {"port", s.port}, {"username", s.user}, {"password", s.password}, {"database", s.database},
	} {
		value := os.Getenv(v.variable)
		switch {
		case value == "" && v.key != "port" && v.key != "password":
			missing = append(missing, v.variable)
		case value != "" && v.key == "port":
			fmt.Fprintf(&b, "port = %s\n", value)
		case value != "":
			fmt.Fprintf(&b, "%s = %q\n", v.key, value)
		}
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("%s: set %s, or: go run ./tests/engines/with %s -- longhaul demo --commondb %s",
			d.opt.CommonDB, strings.Join(missing, ", "), d.opt.CommonDB, d.opt.CommonDB)
	}
	return b.String(), nil
}

// errUsed: a database that others use is not for a demo.
var errUsed = errors.New("the common database has uploads already, and a demo is no survey; give it an empty database")

// initCommonDB makes the tables. A server's database must be the demo's own: it
// is, if it is empty or an earlier start of this demo has been here.
func (d *demo) initCommonDB(ctx context.Context, c *config.Config, before bool) error {
	if _, err := commondb.Init(ctx, site.CommonDBOptions(c)); err != nil {
		return err
	}
	if before || d.opt.CommonDB == "" || d.opt.CommonDB == commondb.SQLite {
		return nil
	}
	db, err := site.CommonDB(ctx, c)
	if err != nil {
		return err
	}
	defer db.Close()
	counts, err := db.Counts(ctx)
	if err == nil && counts["uploads"] > 0 {
		err = errUsed
	}
	return err
}
