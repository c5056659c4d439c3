package commondb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/results"
)

func TestTheServerGoesAwayAndComesBack(t *testing.T) {
	onServers(t, func(t *testing.T, b backend) {
		s := b.own(t, false)
		o := s.options
		var p *Problem
		if _, err := Init(t.Context(), o); !errors.Is(err, pipeline.ErrOutage) || !errors.As(err, &p) || p.Cause != BadTLS {
			t.Errorf("Init of a server without TLS = %v, want the words about TLS", err)
		}
		o.TLS = "off"
		o.Timeout = 20 * time.Second
		db := open(t, o)
		for name, hurt := range map[string]func() error{
			"is restarted": func() error { return s.engine.Restart(context.Background()) },
			"crashes":      func() error { return errors.Join(s.engine.Crash(), s.engine.Start(context.Background())) },
			"is stopped":   s.engine.Stop,
		} {
			r := beam(3)
			last := r.Children[2].Blobs["filedata"]
			read := last.Open
			once := sync.OnceFunc(func() { must(t, hurt()) })
			last.Open = func() (io.ReadCloser, error) { once(); return read() } // all other rows are sent by now
			r.Children[2].Blobs["filedata"] = last
			if _, err := db.Upload(t.Context(), meta(name), []results.Record{r}); !errors.Is(err, pipeline.ErrOutage) || errors.Is(err, ErrRejected) {
				t.Errorf("when it %s: Upload = %v, want an outage", name, err)
			}
			if name == "is stopped" {
				_, err := db.Upload(t.Context(), meta(name), []results.Record{r})
				if !errors.Is(err, pipeline.ErrOutage) || !errors.As(err, &p) || p.Cause != Unreachable {
					t.Errorf("while it is away: Upload = %v, want an outage: unreachable", err)
				}
				must(t, s.engine.Start(t.Context()))
			}
			if got, err := db.Upload(t.Context(), meta(name), []results.Record{r}); err != nil || got.Already {
				t.Errorf("after it %s: Upload = %+v, %v", name, got, err)
			}
		}
		wantRows(t, db, map[string]int{"uploads": 3, "headers": 3, "diagnostics": 3, "diagnostic_plots": 6})
	})
}

func TestManyUploadersOfTheSameWork(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		o := b.options(t)
		open(t, o)
		const uploaders = 6
		var wg sync.WaitGroup
		var first atomic.Int32
		for i := range uploaders {
			db := open(t, o)
			wg.Go(func() {
				m := meta(fmt.Sprint("s", i))
				m.Work = "the same"
				got, err := db.Upload(t.Context(), m, []results.Record{beam(3)})
				switch {
				case err != nil:
					t.Error(err)
				case !got.Already:
					first.Add(1)
				case got.By == "" || got.By == m.Submit:
					t.Errorf("%s: by %q", m.Submit, got.By)
				}
			})
		}
		wg.Wait()
		if n := first.Load(); n != 1 {
			t.Errorf("%d uploaded it", n)
		}
		wantRows(t, open(t, o), map[string]int{"uploads": 1, "headers": 1, "versions": 1, "diagnostics": 1})
	})
}

// spy counts how often a transaction was given up for another.
type spy struct {
	dialect
	seen atomic.Int32
}

func (s *spy) contended(err error) bool {
	is := s.dialect.contended(err)
	if is {
		s.seen.Add(1)
	}
	return is
}

// TestADeadlockIsGoneThroughAgain has a stranger lock, in the other order, what
// an upload locks.
func TestADeadlockIsGoneThroughAgain(t *testing.T) {
	onServers(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		s := &spy{dialect: db.dialect}
		insert := func(tx *sql.Tx, name string) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO diagnostic_types (name, kind, description) VALUES (`+s.param(1)+`, 'binary', 'x')`, name)
			return err
		}
		stranger, err := db.write.BeginTx(t.Context(), nil)
		must(t, err)
		defer stranger.Rollback()
		for i := range 30 { // the more it has written, the less it is the victim
			must(t, insert(stranger, fmt.Sprint("stranger ", i)))
		}
		if b == Postgres { // the victim is who looks for deadlocks first
			_, err := stranger.ExecContext(t.Context(), `SET LOCAL deadlock_timeout = '60s'`)
			must(t, err)
		}
		must(t, insert(stranger, "Percent zapped")) // which the upload makes last
		db.dialect = s
		uploaded := make(chan error)
		go func() {
			_, err := db.Upload(t.Context(), meta("s1"), []results.Record{beam(3)})
			uploaded <- err
		}()
		waitFor(t, func() bool { return db.write.Stats().InUse == 2 && blocked(t, db, b) })
		if err := insert(stranger, "Bandpass plot"); err != nil { // which it has made, and now both wait
			t.Errorf("the stranger: %v", err)
		}
		must(t, stranger.Rollback())
		if err := <-uploaded; err != nil {
			t.Errorf("Upload = %v", err)
		}
		if s.seen.Load() == 0 {
			t.Error("there was no deadlock")
		}
		db.dialect = s.dialect
		wantRows(t, db, map[string]int{"uploads": 1, "headers": 1, "diagnostic_types": 2})
	})
}

// blocked reports whether somebody waits for a lock.
func blocked(t *testing.T, db *DB, b backend) bool {
	t.Helper()
	var n int
	query := `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
	if b == MySQL {
		query = `SELECT count(*) FROM information_schema.INNODB_TRX JOIN information_schema.PROCESSLIST ON ID = trx_mysql_thread_id
			WHERE trx_state = 'LOCK WAIT' AND DB = database()`
	}
	must(t, db.read.QueryRowContext(t.Context(), query).Scan(&n))
	return n > 0
}

// waitFor asks no more often than MariaDB looks again at who waits.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("it did not happen")
		}
	}
}

// TestContention has a trigger say what a server says of a transaction that it
// gives up, so many times.
func TestContention(t *testing.T) {
	onServers(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		if b == Postgres { // a sequence is not rolled back
			alter(t, db, `CREATE SEQUENCE given_up`)
			lie(t, db, "headers", `BEFORE|IF nextval('given_up') <= 2 THEN RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001'; END IF; RETURN NEW`)
		} else { // nor is a table without transactions
			alter(t, db, `CREATE TABLE given_up (n int) ENGINE=MyISAM`)
			lie(t, db, "headers", `BEFORE|BEGIN INSERT INTO given_up VALUES (1); IF (SELECT count(*) FROM given_up) <= 2 THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'deadlock'; END IF; END`)
		}
		if _, err := db.Upload(t.Context(), meta("s1"), []results.Record{beam(3)}); err != nil {
			t.Errorf("given up twice: Upload = %v", err)
		}
		if b == Postgres {
			alter(t, db, `ALTER SEQUENCE given_up RESTART INCREMENT BY -1 MINVALUE -1000 MAXVALUE 1`)
		} else {
			tellTruth(t, db, "headers")
			lie(t, db, "headers", `BEFORE|SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'deadlock'`)
		}
		_, err := db.Upload(t.Context(), meta("s2"), []results.Record{beam(3)})
		var p *Problem
		if !errors.Is(err, pipeline.ErrOutage) || !errors.As(err, &p) || p.Cause != Contended {
			t.Errorf("given up for ever: Upload = %v, want an outage", err)
		}
		wantRows(t, db, map[string]int{"uploads": 1, "headers": 1})
	})
}

func TestLeastRights(t *testing.T) {
	onServers(t, func(t *testing.T, b backend) {
		o := b.options(t)
		admin := open(t, o)
		user := strings.ReplaceAll(o.Database, "test_", "up-loader_") // a name that must be quoted
		_, grants, err := Script(t.Context(), o, user)
		must(t, err)
		if b == Postgres {
			alter(t, admin, `CREATE ROLE "`+user+`" LOGIN PASSWORD 'little-secret'`)
		} else {
			alter(t, admin, `CREATE USER '`+user+`'@'%' IDENTIFIED BY 'little-secret'`)
		}
		o.Username, o.Password = user, "little-secret"
		if _, err := Open(t.Context(), o); err == nil {
			t.Error("a user without rights was let in")
		}
		for _, g := range grants {
			alter(t, admin, g)
		}
		db := open2(t, o)
		for i := range int64(3) {
			if _, err := db.Upload(t.Context(), meta(fmt.Sprint("s", i)), append(many(50), beam(i))); err != nil {
				t.Fatal(err)
			}
		}
		if list, err := db.Uploads(t.Context(), "McGill", "PRESTO", "PALFA", 0, 10); err != nil || len(list) != 3 {
			t.Errorf("Uploads = %v, %v", list, err)
		}
		for _, f := range db.Inspect(t.Context()) {
			if !f.OK || f.What == "rights" && !strings.Contains(f.Detail, "and no more") {
				t.Errorf("Inspect: %+v", f)
			}
		}
		for _, query := range []string{`DELETE FROM diagnostics`, `UPDATE uploads SET job = ''`, `DROP TABLE diagnostics`, `INSERT INTO longhaul_commondb (version) VALUES (9)`} {
			if _, err := db.write.ExecContext(t.Context(), query); err == nil {
				t.Errorf("%s: it may", query)
			}
		}
		if _, err := Init(t.Context(), o); err != nil {
			t.Errorf("Init of one that is there = %v", err)
		}
		if b == Postgres {
			alter(t, admin, `REVOKE USAGE ON SEQUENCE headers_id_seq FROM "`+user+`"`)
		} else {
			alter(t, admin, `REVOKE INSERT ON headers FROM '`+user+`'@'%'`)
		}
		_, err = db.Upload(t.Context(), meta("s9"), []results.Record{beam(9)})
		var p *Problem
		if !errors.Is(err, pipeline.ErrOutage) || !errors.As(err, &p) || p.Cause != NoRight {
			t.Errorf("with a right less: Upload = %v, want an outage: no right", err)
		}
		bad := 0
		for _, f := range db.Inspect(t.Context()) {
			if !f.OK && strings.Contains(f.Detail, "headers") {
				bad++
			}
		}
		if bad == 0 {
			t.Error("Inspect does not find it")
		}
	})
}

// open2 opens a database that is there.
func open2(t testing.TB, o Options) *DB {
	t.Helper()
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
