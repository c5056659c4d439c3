package jobtracker

import (
	"context"
	"database/sql"
	"io/fs"

	"longhaul/internal/pipeline"
)

// WithDriver replaces the database/sql driver of a store.
func WithDriver(opt Options, name string) Options {
	opt.driver = name
	return opt
}

// Move is the one place where a status changes.
func (s *Store) Move(ctx context.Context, e pipeline.Entity, id int64, from, to pipeline.Status) error {
	return s.write(ctx, "move", func(tx *txn) error { return tx.move(ctx, e, id, from, to, "test") })
}

// Hold takes the write lock and keeps it until the transaction ends.
func (s *Store) Hold(ctx context.Context) (*sql.Tx, error) { return s.begin(ctx) }

// Writer and Reader are the handles.
func (s *Store) Writer() *sql.DB { return s.rw }
func (s *Store) Reader() *sql.DB { return s.ro }

// Classify is classify.
func (s *Store) Classify(ctx context.Context, err error) error { return s.classify(ctx, err) }

// MigrateWith is Migrate with other steps.
func MigrateWith(ctx context.Context, path string, fsys fs.FS) (from, to int, backup string, err error) {
	return migrateFile(ctx, path, fsys)
}
