package jobtracker

import (
	"context"
	"database/sql"
	"time"

	"longhaul/internal/pipeline"
)

// record writes one line of the history.
func (tx *txn) record(ctx context.Context, e pipeline.Entity, id int64, was, became pipeline.Status, note string) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO events (at, entity, entity_id, was, became, actor, note)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, tx.at, e, id, was, became, tx.actor, note)
	return err
}

// Note adds a line to the history of something without changing its status:
// a late result that was refused, an outage, an operator's act.
func (s *Store) Note(ctx context.Context, e pipeline.Entity, id int64, note string) error {
	return s.write(ctx, "note", func(tx *txn) error {
		return tx.record(ctx, e, id, "", "", note)
	})
}

// Events returns the history of one thing, oldest first.
func (s *Store) Events(ctx context.Context, e pipeline.Entity, id int64) ([]pipeline.Event, error) {
	return s.events(ctx, `WHERE entity = ? AND entity_id = ? ORDER BY id`, e, id)
}

// EventsAfter returns at most limit lines of the history after the one with
// the given ID, oldest first: a feed of all changes.
func (s *Store) EventsAfter(ctx context.Context, id int64, limit int) ([]pipeline.Event, error) {
	return s.events(ctx, `WHERE id > ? ORDER BY id LIMIT ?`, id, limit)
}

func (s *Store) events(ctx context.Context, where string, args ...any) ([]pipeline.Event, error) {
	return query(ctx, s, "read events", `
		SELECT id, at, entity, entity_id, was, became, actor, note FROM events `+where,
		func(rows *sql.Rows, e *pipeline.Event) error {
			return rows.Scan(&e.ID, timeScanner{&e.At}, &e.Entity, &e.EntityID, &e.Was, &e.Became, &e.Actor, &e.Note)
		}, args...)
}

// RecentSystemEvents returns the lines of the history about the system as a
// whole since a time, at most limit, the latest first.
func (s *Store) RecentSystemEvents(ctx context.Context, since time.Time, limit int) ([]pipeline.Event, error) {
	all, err := s.events(ctx, `WHERE entity = 'system' AND entity_id = 0 ORDER BY id DESC LIMIT ?`, limit)
	for i, e := range all {
		if e.At.Before(since) {
			return all[:i], err
		}
	}
	return all, err
}

// LastEvent returns the ID of the newest line of the history, 0 if there is none.
func (s *Store) LastEvent(ctx context.Context) (int64, error) {
	var id int64
	err := s.ro.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM events`).Scan(&id)
	return id, wrap("last event", s.classify(ctx, err))
}

// Watch calls wake whenever somebody else changed the job-tracker, within the
// given interval, until ctx is done. It is a hint: the loop's ticks are the
// truth, so an error only makes it look again.
func (s *Store) Watch(ctx context.Context, interval time.Duration, wake func()) {
	seen, err := s.LastEvent(ctx)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err != nil { // not seen anything yet: begin here, and look at all there is
			if seen, err = s.LastEvent(ctx); err == nil {
				wake()
			}
			continue
		}
		last, foreign, err := s.foreignSince(ctx, seen)
		if err != nil {
			continue
		}
		seen = max(seen, last)
		if foreign {
			wake()
		}
	}
}

// foreignSince reports the newest event after seen, and whether anyone but us
// made one of them.
func (s *Store) foreignSince(ctx context.Context, seen int64) (last int64, foreign bool, err error) {
	var n int
	err = s.ro.QueryRowContext(ctx, `
		SELECT coalesce(max(id), 0), count(*) FILTER (WHERE actor <> ?)
		  FROM events WHERE id > ?`, s.actor, seen).Scan(&last, &n)
	return last, n > 0, err
}

// query reads all rows of a SELECT on the read-only handle.
func query[T any](ctx context.Context, s *Store, op, text string, scan func(*sql.Rows, *T) error, args ...any) ([]T, error) {
	rows, err := s.ro.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, wrap(op, s.classify(ctx, err))
	}
	all, err := scanAll(rows, scan)
	return all, wrap(op, s.classify(ctx, err))
}

// queryOne is query for one row; it returns pipeline.ErrNotFound if there is none.
func queryOne[T any](ctx context.Context, s *Store, op, text string, scan func(*sql.Rows, *T) error, args ...any) (T, error) {
	var zero T
	all, err := query(ctx, s, op, text, scan, args...)
	if err != nil {
		return zero, err
	}
	if len(all) == 0 {
		return zero, wrap(op, pipeline.ErrNotFound)
	}
	return all[0], nil
}

// scanAll reads all rows and closes them.
func scanAll[T any](rows *sql.Rows, scan func(*sql.Rows, *T) error) ([]T, error) {
	defer rows.Close()
	var all []T
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}
