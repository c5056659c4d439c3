package jobtracker

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"longhaul/internal/pipeline"
)

const attemptColumns = `id, file_id, start, bytes, status, details, created_at, updated_at`

func scanAttempt(rows *sql.Rows, a *pipeline.Attempt) error {
	return rows.Scan(&a.ID, &a.FileID, &a.Offset, &a.Bytes, &a.Status, &a.Details,
		timeScanner{&a.CreatedAt}, timeScanner{&a.UpdatedAt})
}

// StartAttempt writes down that a file is about to be fetched, going on at
// offset, and its time on the file server, which not every listing tells. It returns pipeline.ErrStale if somebody else has it.
func (s *Store) StartAttempt(ctx context.Context, f pipeline.File, offset int64) (pipeline.Attempt, error) {
	a := pipeline.Attempt{FileID: f.ID, Offset: offset, Status: pipeline.Downloading}
	err := s.write(ctx, fmt.Sprintf("start download of file %d", f.ID), func(tx *txn) error {
		details := "from the beginning"
		if offset > 0 {
			details = fmt.Sprintf("going on at byte %d", offset)
		}
		if err := tx.move(ctx, pipeline.EntityFile, int64(f.ID), f.Status, pipeline.Downloading, details); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE files SET bytes = ?, mod_time = ?, digest = '' WHERE id = ?`,
			offset, formatTime(f.ModTime), f.ID); err != nil {
			return err
		}
		id, err := tx.insert(ctx, `
			INSERT INTO download_attempts (file_id, start, status, details, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?)`, f.ID, offset, a.Status, details, tx.at, tx.at)
		if err != nil {
			return err
		}
		a.ID = pipeline.AttemptID(id)
		a.CreatedAt, _ = time.Parse(timeLayout, tx.at)
		return tx.record(ctx, pipeline.EntityAttempt, id, pipeline.Created, a.Status, details)
	})
	return a, err
}

// Progress records how much of a file is here while it is being fetched. It is
// no change of status and leaves no event. It returns pipeline.ErrStale if the
// attempt has ended: what it brings is of no use then.
func (s *Store) Progress(ctx context.Context, a pipeline.Attempt, fetched int64) error {
	return s.write(ctx, fmt.Sprintf("progress of download %d", a.ID), func(tx *txn) error {
		return tx.setBytes(ctx, a, fetched)
	})
}

func (tx *txn) setBytes(ctx context.Context, a pipeline.Attempt, fetched int64) error {
	res, err := tx.ExecContext(ctx, `
		UPDATE download_attempts SET bytes = ?, updated_at = ? WHERE id = ? AND status = 'downloading'`,
		fetched, tx.at, a.ID)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n == 0 { // a late word of an old attempt says nothing about the file
		return tx.notIn(ctx, pipeline.EntityAttempt, int64(a.ID), pipeline.Downloading)
	}
	_, err = tx.ExecContext(ctx, `UPDATE files SET bytes = ? WHERE id = ?`, a.Offset+fetched, a.FileID)
	return err
}

// EndTransfer records that a transfer ended and its file is to be verified:
// the attempt becomes complete, or unknown if it was interrupted.
func (s *Store) EndTransfer(ctx context.Context, a pipeline.Attempt, to pipeline.Status, fetched int64, details string) error {
	return s.write(ctx, fmt.Sprintf("end download %d", a.ID), func(tx *txn) error {
		if to != pipeline.Complete && to != pipeline.Unknown {
			return fmt.Errorf("a transfer that ended cannot be %s: %w", to, pipeline.ErrForbidden)
		}
		if err := tx.setBytes(ctx, a, fetched); err != nil {
			return err
		}
		if err := tx.move(ctx, pipeline.EntityAttempt, int64(a.ID), pipeline.Downloading, to, details); err != nil {
			return err
		}
		return tx.move(ctx, pipeline.EntityFile, int64(a.FileID), pipeline.Downloading, pipeline.Unverified, details)
	})
}

// FailTransfer records that a transfer broke: the attempt becomes
// download_failed or no_remote_file. An attempt that an outage ended does not
// count against the file.
func (s *Store) FailTransfer(ctx context.Context, a pipeline.Attempt, to pipeline.Status, fetched int64, details string, counts bool) error {
	return s.write(ctx, fmt.Sprintf("fail download %d", a.ID), func(tx *txn) error {
		if to != pipeline.DownloadFailed && to != pipeline.NoRemoteFile {
			return fmt.Errorf("a transfer that broke cannot be %s: %w", to, pipeline.ErrForbidden)
		}
		if err := tx.setBytes(ctx, a, fetched); err != nil {
			return err
		}
		if err := tx.move(ctx, pipeline.EntityAttempt, int64(a.ID), pipeline.Downloading, to, details); err != nil {
			return err
		}
		return tx.failFile(ctx, a.FileID, pipeline.Downloading, details, counts)
	})
}

func (tx *txn) failFile(ctx context.Context, id pipeline.FileID, from pipeline.Status, details string, counts bool) error {
	if err := tx.move(ctx, pipeline.EntityFile, int64(id), from, pipeline.Failed, details); err != nil {
		return err
	}
	if !counts {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE files SET attempts = attempts + 1 WHERE id = ?`, id)
	return err
}

// KeepDigest writes down that a file is whole, and its digest, "sha256:<hex>",
// before it gets its final name. By the digest it is known there if
// FileVerified does not come to pass.
func (s *Store) KeepDigest(ctx context.Context, a pipeline.Attempt, digest string) error {
	return s.write(ctx, fmt.Sprintf("digest of download %d", a.ID), func(tx *txn) error {
		return tx.setDigest(ctx, a, a.Status, digest)
	})
}

// setDigest is for the attempt of an unverified file; is is the attempt's status.
func (tx *txn) setDigest(ctx context.Context, a pipeline.Attempt, is pipeline.Status, digest string) error {
	res, err := tx.ExecContext(ctx, `
		UPDATE files SET digest = ?, bytes = size
		 WHERE id = ? AND status = 'unverified'
		   AND EXISTS (SELECT 1 FROM download_attempts WHERE id = ? AND status = ?)`,
		digest, a.FileID, a.ID, is)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return tx.notIn(ctx, pipeline.EntityAttempt, int64(a.ID), is)
	}
	return nil
}

// FileVerified records that the file of an attempt is whole and under its
// final name. digest is its own, "sha256:<hex>".
func (s *Store) FileVerified(ctx context.Context, a pipeline.Attempt, digest string) error {
	return s.write(ctx, fmt.Sprintf("verify download %d", a.ID), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntityAttempt, int64(a.ID), a.Status, pipeline.Downloaded, "verified"); err != nil {
			return err
		}
		if err := tx.setDigest(ctx, a, pipeline.Downloaded, digest); err != nil {
			return err
		}
		return tx.move(ctx, pipeline.EntityFile, int64(a.FileID), pipeline.Unverified, pipeline.Downloaded, "verified")
	})
}

// VerificationFailed records that what an attempt left is not the file. kept
// is how much of it stays on the disk to go on from, in bytes.
func (s *Store) VerificationFailed(ctx context.Context, a pipeline.Attempt, kept int64, details string, counts bool) error {
	return s.write(ctx, fmt.Sprintf("refuse download %d", a.ID), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntityAttempt, int64(a.ID), a.Status, pipeline.VerificationFailed, details); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE files SET bytes = ? WHERE id = ?`, kept, a.FileID); err != nil {
			return err
		}
		return tx.failFile(ctx, a.FileID, pipeline.Unverified, details, counts)
	})
}

// AttemptsIn returns the attempts of one status, oldest first.
func (s *Store) AttemptsIn(ctx context.Context, status pipeline.Status) ([]pipeline.Attempt, error) {
	return query(ctx, s, "attempts "+string(status), `
		SELECT `+attemptColumns+` FROM download_attempts WHERE status = ? ORDER BY id`, scanAttempt, status)
}

// AttemptsOf returns all attempts to fetch a file, oldest first.
func (s *Store) AttemptsOf(ctx context.Context, id pipeline.FileID) ([]pipeline.Attempt, error) {
	return query(ctx, s, fmt.Sprintf("attempts of file %d", id), `
		SELECT `+attemptColumns+` FROM download_attempts WHERE file_id = ? ORDER BY id`, scanAttempt, id)
}

// RateSample is what recent downloads tell about the next ones.
type RateSample struct {
	Downloads int     // that were looked at
	MeanSize  float64 // bytes a file
	Rate      float64 // bytes a second of one download
}

// RecentRate averages the last n downloads that went well.
func (s *Store) RecentRate(ctx context.Context, n int) (RateSample, error) {
	recent, err := query(ctx, s, "recent downloads", `
		SELECT `+attemptColumns+` FROM download_attempts
		 WHERE status = 'downloaded' ORDER BY id DESC LIMIT ?`, scanAttempt, n)
	if err != nil || len(recent) == 0 {
		return RateSample{}, err
	}
	var bytes, whole int64
	var spent time.Duration
	for _, a := range recent {
		bytes += a.Bytes
		whole += a.Offset + a.Bytes
		spent += a.UpdatedAt.Sub(a.CreatedAt)
	}
	r := RateSample{Downloads: len(recent), MeanSize: float64(whole) / float64(len(recent))}
	if spent > 0 {
		r.Rate = float64(bytes) / spent.Seconds()
	}
	return r, nil
}
