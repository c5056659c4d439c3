package jobtracker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"longhaul/internal/pipeline"
)

const requestColumns = `id, coalesce(guid, ''), number, numbits, datatype, size, status, details, created_at, updated_at`

func scanRequest(rows *sql.Rows, r *pipeline.Request) error {
	return rows.Scan(&r.ID, &r.GUID, &r.Number, &r.Numbits, &r.Datatype, &r.Size, &r.Status, &r.Details,
		timeScanner{&r.CreatedAt}, timeScanner{&r.UpdatedAt})
}

// BeginRequest writes down the intent to ask the archive for a number of
// observations. The request waits without a GUID until NameRequest.
func (s *Store) BeginRequest(ctx context.Context, number, numbits int, datatype string) (pipeline.RequestID, error) {
	var id int64
	err := s.write(ctx, "begin request", func(tx *txn) error {
		var err error
		id, err = tx.insert(ctx, `
			INSERT INTO requests (number, numbits, datatype, status, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?)`, number, numbits, datatype, pipeline.Waiting, tx.at, tx.at)
		if err != nil {
			return err
		}
		return tx.record(ctx, pipeline.EntityRequest, id, pipeline.Created, pipeline.Waiting,
			fmt.Sprintf("asking for %d observations", number))
	})
	return pipeline.RequestID(id), err
}

// NameRequest records the GUID that the archive gave to a waiting request. It
// returns pipeline.ErrStale if that has one already, and pipeline.ErrForbidden
// if the GUID is another request's.
func (s *Store) NameRequest(ctx context.Context, id pipeline.RequestID, guid string) error {
	return s.write(ctx, fmt.Sprintf("name request %d", id), func(tx *txn) error {
		var other int64
		err := tx.QueryRowContext(ctx, `SELECT id FROM requests WHERE guid = ? AND id <> ?`, guid, id).Scan(&other)
		if err == nil {
			return fmt.Errorf("the archive gave the GUID of request %d, %q: %w", other, guid, pipeline.ErrForbidden)
		} else if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		res, err := tx.ExecContext(ctx, `
			UPDATE requests SET guid = ?, updated_at = ?
			 WHERE id = ? AND status = ? AND guid IS NULL`, guid, tx.at, id, pipeline.Waiting)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return tx.whyNotNamed(ctx, id)
		}
		return tx.record(ctx, pipeline.EntityRequest, int64(id), "", "", "the archive calls it "+guid)
	})
}

func (tx *txn) whyNotNamed(ctx context.Context, id pipeline.RequestID) error {
	var status pipeline.Status
	var guid string
	err := tx.QueryRowContext(ctx, `SELECT status, coalesce(guid, '') FROM requests WHERE id = ?`, id).Scan(&status, &guid)
	if errors.Is(err, sql.ErrNoRows) {
		return pipeline.ErrNotFound
	} else if err != nil {
		return err
	}
	return fmt.Errorf("it is %s with GUID %q: %w", status, guid, pipeline.ErrStale)
}

// WaitingRequests returns the requests whose data is not here yet, oldest first.
func (s *Store) WaitingRequests(ctx context.Context) ([]pipeline.Request, error) {
	return query(ctx, s, "waiting requests", `
		SELECT `+requestColumns+` FROM requests WHERE status = 'waiting' ORDER BY id`, scanRequest)
}

// FinishRequest enters the files that a request brought and finishes it, in
// one transaction. Files whose names are known already are left alone; it
// returns how many were entered.
func (s *Store) FinishRequest(ctx context.Context, id pipeline.RequestID, files []pipeline.File, details string) (entered int, err error) {
	err = s.write(ctx, fmt.Sprintf("finish request %d", id), func(tx *txn) error {
		var size int64
		entered = 0
		for _, f := range files {
			f.RequestID = id
			isNew, err := tx.enterFile(ctx, f, pipeline.New, "listed")
			if err != nil {
				return err
			}
			if isNew {
				entered++
				size += f.Size
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE requests SET size = ? WHERE id = ?`, size, id); err != nil {
			return err
		}
		return tx.move(ctx, pipeline.EntityRequest, int64(id), pipeline.Waiting, pipeline.Finished, details)
	})
	return entered, err
}

// FailRequest gives a request up and leaves a notice.
func (s *Store) FailRequest(ctx context.Context, id pipeline.RequestID, details string, n pipeline.Notice) error {
	return s.write(ctx, fmt.Sprintf("fail request %d", id), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntityRequest, int64(id), pipeline.Waiting, pipeline.Failed, details); err != nil {
			return err
		}
		return tx.notify(ctx, n)
	})
}
