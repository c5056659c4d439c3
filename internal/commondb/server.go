package commondb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"longhaul/internal/pipeline"
)

// versionTable says, on a server, that the tables are ours, and which version
// of them. It is no part of the catalog.
const versionTable = "longhaul_commondb"

// serverConnections is how many uploads and questions are on their way at once
// to a server.
const serverConnections = 8

// pool sets how connections to a server are kept.
func pool(db *sql.DB) *sql.DB {
	db.SetMaxOpenConns(serverConnections)
	db.SetMaxIdleConns(2)
	// Firewalls forget connections that say nothing.
	db.SetConnMaxIdleTime(time.Minute)
	return db
}

// server is a dialect of database servers.
type server interface {
	dialect
	// tables is the catalog with the table of the version.
	tables(context.Context, querier) (catalog, error)
	// about is the server's name and version, and whether the connection has TLS.
	about(context.Context, querier) (version string, tls bool, err error)
	// rights says what the user lacks of the rights that uploads need, and what
	// it has beyond them, as far as the server tells.
	rights(context.Context, querier, catalog) (missing, more []string, err error)
	// durability is how the server is set to keep what is committed; weak means
	// that a power cut can undo a commit.
	durability(context.Context, querier) (settings string, weak bool, err error)
}

// serverVersion is the version of the tables, or pipeline.ErrNotFound with what
// to do.
func serverVersion(ctx context.Context, q querier, d server) (version int, err error) {
	cat, err := d.tables(ctx, q)
	if err != nil {
		return 0, fmt.Errorf("read the schema: %w", err)
	}
	if cat[versionTable] == nil {
		if cat[uploadsTable] != nil {
			return 0, pipeline.Fatal(fmt.Errorf("it has a table %s that is another program's; give longhaul a database of its own", uploadsTable))
		}
		return 0, &Problem{NoTables, fmt.Errorf("%w: there is no table %s that this user can see", pipeline.ErrNotFound, versionTable)}
	}
	err = q.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM `+versionTable).Scan(&version)
	if err == nil && version == 0 {
		err = &Problem{NoTables, fmt.Errorf("%w: they are half made", pipeline.ErrNotFound)}
	}
	return version, err
}

// amongList is the condition for dialects that have no arrays.
func amongList(d dialect, key string, ids []int64) (string, []any) {
	params := make([]string, len(ids))
	args := make([]any, len(ids))
	for i, id := range ids {
		params[i], args[i] = d.param(i+1), id
	}
	return d.quote(key) + " IN (" + strings.Join(params, ", ") + ")", args
}

// lastInsert is the outcome of an INSERT of one row.
func lastInsert(res sql.Result, err error) (id int64, stored bool, _ error) {
	if err != nil {
		return 0, false, err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, false, err
	}
	id, err = res.LastInsertId()
	return id, n == 1, err
}

// checkServer refuses a database that has not this program's version.
func checkServer(ctx context.Context, q querier, d server, o Options, w words) error {
	steps, err := migrations(o.schemaFiles(), w)
	if err != nil {
		return err
	}
	version, err := serverVersion(ctx, q, d)
	if err != nil {
		return err
	}
	return versionError(version, len(steps))
}

// versionTableText makes the table of the version.
func versionTableText(w words) string {
	return strings.TrimSpace(w.translate(`CREATE TABLE ` + versionTable + ` (id {key}, version {integer} NOT NULL, made_at {time} NOT NULL DEFAULT {now}) {table}`))
}
