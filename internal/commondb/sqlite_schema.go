package commondb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
)

// sqliteWords are SQLite's. Times are text, 2006-01-02T15:04:05.000Z.
func sqliteWords() words {
	return words{
		key: "INTEGER PRIMARY KEY", integer: "INTEGER", real: "REAL", name: "TEXT", text: "TEXT", blob: "BLOB",
		time: "TEXT", now: "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))", table: "STRICT",
	}
}

// migrateSQLite makes the file and brings it to this program's version.
func migrateSQLite(ctx context.Context, o Options) (from, to int, err error) {
	if err := disk.MakeDir(filepath.Dir(o.Database)); err != nil {
		return 0, 0, outage("", err)
	}
	if err := refuseNetwork(filepath.Dir(o.Database)); err != nil {
		return 0, 0, err
	}
	if err := touch(o.Database); err != nil {
		return 0, 0, outage("", err)
	}
	db, err := sql.Open("sqlite", sqliteDSN(o, false))
	if err != nil {
		return 0, 0, err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	steps, err := migrations(o.schemaFiles(), sqliteWords())
	if err != nil {
		return 0, 0, err
	}
	from, err = sqliteVersion(ctx, db, o)
	switch {
	case errors.Is(err, pipeline.ErrNotFound):
	case err != nil:
		return 0, 0, err
	case from >= len(steps):
		return from, len(steps), versionError(from, len(steps))
	default:
		if err := sqliteBackup(ctx, db, fmt.Sprintf("%s.version-%d", o.Database, from)); err != nil {
			return from, from, err
		}
	}
	if err := applySQLite(ctx, db, from, steps); err != nil {
		return from, from, err
	}
	return from, len(steps), nil
}

// touch makes an empty file, readable by the group only, if there is none.
// SQLite would make it readable by the world.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, disk.FileMode)
	if errors.Is(err, fs.ErrExist) {
		return nil // never opened here: closing it would drop SQLite's locks
	} else if err != nil {
		return err
	}
	return errors.Join(f.Close(), disk.SyncDir(filepath.Dir(path)))
}

// sqliteBackup copies the database before it is changed. A copy that is there
// already is of an attempt that was cut off, and as good.
func sqliteBackup(ctx context.Context, db *sql.DB, path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return outage("", err)
	}
	if _, err := db.ExecContext(ctx, `VACUUM INTO ?`, part); err != nil {
		return fmt.Errorf("copy it to %s: %w", path, err)
	}
	if err := errors.Join(os.Chmod(part, disk.FileMode), os.Rename(part, path), disk.SyncDir(filepath.Dir(path))); err != nil {
		return outage("", err)
	}
	return nil
}

// applySQLite applies the steps after version from, all or none of them.
func applySQLite(ctx context.Context, db *sql.DB, from int, steps []migration) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	var now, tables int
	err = tx.QueryRowContext(ctx, `
		SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)`).Scan(&now, &tables)
	if err != nil {
		return err
	}
	if now != from || from == 0 && tables > 0 {
		return outage(Contended, errors.New("another program changed the tables at the same time"))
	}
	for _, step := range steps[from:] {
		for _, statement := range step {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	for _, pragma := range []string{"application_id = " + strconv.Itoa(applicationID), "user_version = " + strconv.Itoa(len(steps))} {
		if _, err := tx.ExecContext(ctx, "PRAGMA "+pragma); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// sqliteVersion is that of a common database of ours, or pipeline.ErrNotFound.
func sqliteVersion(ctx context.Context, q querier, o Options) (int, error) {
	var id, version, tables int
	err := q.QueryRowContext(ctx, `
		SELECT (SELECT application_id FROM pragma_application_id),
		       (SELECT user_version FROM pragma_user_version),
		       (SELECT count(*) FROM sqlite_schema)`).Scan(&id, &version, &tables)
	switch {
	case err != nil:
		return 0, err
	case tables == 0:
		return 0, fmt.Errorf("%w: the file is empty; \"longhaul init\" makes its tables", pipeline.ErrNotFound)
	case id != applicationID:
		return 0, pipeline.Fatal(fmt.Errorf("%s is another program's database; set commondb.database to a file of its own", o.Database))
	}
	return version, nil
}

// checkVersion refuses a file that is not a common database of this version.
func checkVersion(ctx context.Context, q querier, o Options) error {
	steps, err := migrations(o.schemaFiles(), sqliteWords())
	if err != nil {
		return err
	}
	version, err := sqliteVersion(ctx, q, o)
	if err != nil {
		return err
	}
	return versionError(version, len(steps))
}
