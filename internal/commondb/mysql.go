package commondb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// mysqlDialect is MariaDB, since version 10.2, and MySQL, since 8.0.17: older
// ones take CHECK constraints and do not keep them.
type mysqlDialect struct {
	maxPacket int64 // bytes of one message, and of one value
}

var _ server = mysqlDialect{}

// mysqlMode makes the server refuse a value that it would otherwise round, cut
// or replace.
const mysqlMode = "'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"

func mysqlConfig(o Options) (*mysql.Config, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.DBName = o.Username, string(o.Password), o.Database
	c.Net, c.Addr = "tcp", o.address()
	if o.socket() {
		c.Net = "unix"
	}
	var err error
	if c.TLS, err = o.tls(); err != nil {
		return nil, err
	}
	c.Timeout = min(connectTimeout, o.Timeout)
	c.ParseTime, c.Loc = true, time.UTC
	c.MaxAllowedPacket = 0 // the server's
	c.Logger = new(mysql.NopLogger)
	c.Collation = "utf8mb4_bin"
	c.ConnectionAttributes = "program_name:longhaul"
	c.Params = map[string]string{
		"sql_mode":  mysqlMode,
		"time_zone": "'+00:00'",
		// Below our own time-out, after which the connection would have to go.
		"innodb_lock_wait_timeout": fmt.Sprint(max(1, int((o.Timeout * 3 / 4).Seconds()))),
		"foreign_key_checks":       "1",
		"unique_checks":            "1",
	}
	return c, nil
}

func connectMySQL(o Options) (*sql.DB, error) {
	c, err := mysqlConfig(o)
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return pool(sql.OpenDB(connector)), nil
}

// openMySQL opens a database that Init has made.
func openMySQL(ctx context.Context, o Options) (*DB, error) {
	conns, err := connectMySQL(o)
	if err != nil {
		return nil, err
	}
	db := &DB{name: o.String(), write: conns, read: conns, timeout: o.Timeout, now: o.Now}
	var d mysqlDialect
	var version string
	err = conns.QueryRowContext(ctx, `SELECT @@max_allowed_packet, version()`).Scan(&d.maxPacket, &version)
	db.dialect = d
	if err == nil {
		err = checkServer(ctx, conns, d, o, mysqlWords(version))
	}
	if err != nil {
		return nil, errors.Join(mysqlError(err), db.Close())
	}
	return db, nil
}

func (mysqlDialect) ready() error { return nil }

// isolation is READ COMMITTED, for the reason that PostgreSQL has, and because
// a stricter one locks gaps between rows, over which uploads deadlock.
func (mysqlDialect) isolation() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
}

func (mysqlDialect) quote(name string) string {
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

func (mysqlDialect) param(int) string { return "?" }

func (d mysqlDialect) asStored(c *column) string {
	if c.declared == "decimal" || c.declared == "float" { // as a double, which keeps a float's every bit
		return d.quote(c.name) + " + 0e0"
	}
	return d.quote(c.name)
}

func (d mysqlDialect) size(column string) string { return "octet_length(" + d.quote(column) + ")" }

func (d mysqlDialect) among(key string, ids []int64) (string, []any) { return amongList(d, key, ids) }

func (d mysqlDialect) insertOne(ctx context.Context, s *session, r *row) (int64, bool, error) {
	stmt, err := s.prepare(ctx, insertInto(d, r.shape, 1))
	if err != nil {
		return 0, false, err
	}
	args := r.args()
	if err := inMemory(ctx, r, args); err != nil {
		return 0, false, err
	}
	return lastInsert(stmt.ExecContext(ctx, args...))
}

// insertMany writes many rows by one statement: so the server gives them keys
// one after the other, of which it tells the first. The read-back would find
// out if it did not.
func (d mysqlDialect) insertMany(ctx context.Context, s *session, rows []*row) error {
	if rows[0].hasBlob() {
		for _, r := range rows { // one file at a time in memory
			if err := s.insert(ctx, r); err != nil {
				return fmt.Errorf("%s: %w", r.place(), err)
			}
		}
		return nil
	}
	var step int64
	if err := s.tx.QueryRowContext(ctx, `SELECT @@auto_increment_increment`).Scan(&step); err != nil {
		return err
	}
	for len(rows) > 0 {
		n := min(insertAtOnce, len(rows))
		if err := d.insertSome(ctx, s, rows[:n], step); err != nil {
			at := rows[0].place()
			if n > 1 {
				at = fmt.Sprintf("one of %s and %d more", at, n-1)
			}
			return fmt.Errorf("%s: insert into %s: %w", at, rows[0].table.name, err)
		}
		rows = rows[n:]
	}
	return nil
}

// insertAtOnce is how many rows one INSERT has; MySQL takes 65,535 arguments.
const insertAtOnce = 250

func (d mysqlDialect) insertSome(ctx context.Context, s *session, rows []*row, step int64) error {
	stmt, err := s.prepare(ctx, insertInto(d, rows[0].shape, len(rows)))
	if err != nil {
		return err
	}
	args := make([]any, 0, len(rows)*len(rows[0].columns))
	for _, r := range rows {
		args = append(args, r.args()...)
	}
	res, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n != int64(len(rows)) {
		return notKept(rows[0].table)
	}
	first, err := res.LastInsertId()
	for i, r := range rows {
		r.id = first + int64(i)*step
	}
	return err
}

// maxRow is what one message can carry, for a row comes back in one.
func (d mysqlDialect) maxRow() int64 { return min(d.maxPacket, 1<<30) - 1<<16 }

// mysqlWords are those of a server with this version(). Its text is compared
// byte by byte, trailing blanks too, for which the two families have different
// collations.
func mysqlWords(version string) words {
	collation := "utf8mb4_0900_bin"
	if strings.Contains(version, "MariaDB") {
		collation = "utf8mb4_nopad_bin"
	}
	return words{
		key: "bigint NOT NULL AUTO_INCREMENT PRIMARY KEY", integer: "bigint", real: "double",
		name: "varchar(512)", text: "longtext", blob: "longblob", time: "datetime(6)", now: "CURRENT_TIMESTAMP(6)",
		table: "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=" + collation,
	}
}

// migrateMySQL makes the tables. The server commits after each statement that
// makes one, so this counts them: one that was cut off goes on where it was.
func migrateMySQL(ctx context.Context, o Options) (from, to int, err error) {
	db, err := connectMySQL(o)
	if err != nil {
		return 0, 0, err
	}
	db.SetMaxOpenConns(1) // the lock is the connection's
	defer func() { err = errors.Join(err, db.Close()) }()
	var version string
	var locked bool
	err = db.QueryRowContext(ctx, `SELECT version(), coalesce(get_lock(concat('longhaul ', database()), 60), 0)`).Scan(&version, &locked)
	if err != nil {
		return 0, 0, err
	}
	if !locked {
		return 0, 0, outage(Contended, errors.New("another program is making the tables"))
	}
	steps, err := migrations(o.schemaFiles(), mysqlWords(version))
	if err != nil {
		return 0, 0, err
	}
	from, err = serverVersion(ctx, db, mysqlDialect{})
	var p *Problem
	if err != nil && (!errors.As(err, &p) || p.Cause != NoTables) {
		return 0, 0, err
	}
	if from >= len(steps) {
		return from, len(steps), versionError(from, len(steps))
	}
	return from, len(steps), applyEach(ctx, db, mysqlWords(version), from, steps)
}

// applyEach applies the steps after version from, statement by statement. The
// table of the version comes first: by it a half-made database is known as ours.
func applyEach(ctx context.Context, db *sql.DB, w words, from int, steps []migration) error {
	for _, statement := range script(w, from, steps) {
		if _, err := db.ExecContext(ctx, statement); err != nil && !mysqlExists(err) {
			return fmt.Errorf("%.60s…: %w", statement, err)
		}
	}
	return nil
}

// mysqlExists reports that a statement of an earlier, cut off attempt is done:
// its table, column, index or constraint is there.
func mysqlExists(err error) bool {
	switch mysqlCode(err) {
	case 1050, 1060, 1061, 1826:
		return true
	}
	return false
}
