package jobtracker

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io/fs"
	"time"

	"longhaul/internal/pipeline"
)

// Between puts something between database/sql and the connections of a store.
func Between(opt Options, fn func(driver.Connector) driver.Connector) Options {
	opt.between = fn
	return opt
}

// Move is the one place where a status changes.
func (s *Store) Move(ctx context.Context, e pipeline.Entity, id int64, from, to pipeline.Status) error {
	return s.write(ctx, "move", func(tx *txn) error { return tx.move(ctx, e, id, from, to, "test") })
}

// Hold takes the write lock and keeps it until the transaction ends.
func (s *Store) Hold(ctx context.Context) (*sql.Tx, error) {
	tx, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	return tx.Tx, nil
}

// Writer and Reader are the handles.
func (s *Store) Writer() *sql.DB { return s.rw }
func (s *Store) Reader() *sql.DB { return s.ro }

// Classify is classify.
func (s *Store) Classify(ctx context.Context, err error) error { return s.classify(ctx, err) }

// MigrateWith is Migrate with other steps.
func MigrateWith(ctx context.Context, db string, fsys fs.FS) (from, to int, backup string, err error) {
	return migrateAt(ctx, db, Options{Actor: "migrate", schema: fsys}.withDefaults())
}

// hasty are times for tests.
func hasty() patience {
	return patience{
		beat: 50 * time.Millisecond, lost: 500 * time.Millisecond, takeover: time.Second,
		settle: 500 * time.Millisecond, stopping: 100 * time.Millisecond,
	}
}

// Hasty makes a store lose patience soon.
func Hasty(opt Options) Options {
	opt.pace = hasty()
	return opt
}

// TryLockHastily is TryLock with little patience, on a server.
func TryLockHastily(ctx context.Context, db, name string) (*Lock, error) {
	return lockOnServer(ctx, db, name, hasty())
}
