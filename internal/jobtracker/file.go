package jobtracker

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"longhaul/internal/pipeline"
)

const fileColumns = `files.id, coalesce(files.request_id, 0), files.filename, files.remote_filename, files.path,
	files.size, files.bytes, files.mod_time, files.checksum, files.digest, files.product, files.group_key,
	files.metadata, files.attempts, files.next_try_at, files.delete_wanted, files.status, files.details,
	files.created_at, files.updated_at`

func scanFile(rows *sql.Rows, f *pipeline.File) error {
	return rows.Scan(&f.ID, &f.RequestID, &f.Filename, &f.RemoteFilename, &f.Path,
		&f.Size, &f.Bytes, timeScanner{&f.ModTime}, &f.Checksum, &f.Digest, &f.Product, &f.GroupKey,
		jsonScanner{&f.Metadata}, &f.Attempts, timeScanner{&f.NextTry}, &f.DeleteWanted, &f.Status, &f.Details,
		timeScanner{&f.CreatedAt}, timeScanner{&f.UpdatedAt})
}

// jsonScanner reads a column of metadata.
type jsonScanner struct{ m *map[string]string }

func (s jsonScanner) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("metadata is %T, want text", v)
	}
	*s.m = nil
	return json.Unmarshal([]byte(text), s.m)
}

func jsonText(m map[string]string) string {
	if m == nil {
		return "{}"
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(b)
}

// enterFile inserts a file unless a file of its name was ever tracked, and
// reports whether it did. The archive may restore the same observation twice;
// it is processed once.
func (tx *txn) enterFile(ctx context.Context, f pipeline.File, status pipeline.Status, note string) (bool, error) {
	var id int64
	var known pipeline.Status
	err := tx.QueryRowContext(ctx, `
		SELECT id, status FROM files WHERE filename = ? ORDER BY id DESC LIMIT 1`, f.Filename).Scan(&id, &known)
	if err == nil {
		return false, tx.foundAgain(ctx, id, known, f)
	} else if !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	return true, tx.insertFile(ctx, f, status, note)
}

// foundAgain handles a file whose name is known. One that was given up learns
// where it is now, so that an operator's retry finds it; it is not retried by
// itself. All others are left as they are.
func (tx *txn) foundAgain(ctx context.Context, id int64, was pipeline.Status, f pipeline.File) error {
	if was != pipeline.TerminalFailure {
		return nil
	}
	res, err := tx.ExecContext(ctx, `
		UPDATE files SET remote_filename = ?, size = ?, mod_time = ?, checksum = ?, updated_at = ?
		 WHERE id = ? AND remote_filename <> ?`,
		f.RemoteFilename, f.Size, formatTime(f.ModTime), f.Checksum, tx.at, id, f.RemoteFilename)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return tx.record(ctx, pipeline.EntityFile, id, "", "",
		fmt.Sprintf("the archive has it again, as %s; 'longhaul retry-files %d' fetches it", f.RemoteFilename, id))
}

func (tx *txn) insertFile(ctx context.Context, f pipeline.File, status pipeline.Status, note string) error {
	if !pipeline.MachineOf(pipeline.EntityFile).Allows(pipeline.Created, status) {
		return pipeline.ErrForbidden
	}
	request := sql.NullInt64{Int64: int64(f.RequestID), Valid: f.RequestID != 0}
	id, err := tx.insert(ctx, `
		INSERT INTO files (filename, remote_filename, request_id, path, size, bytes, mod_time, checksum, digest,
		                   product, group_key, metadata, status, details, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		f.Filename, f.RemoteFilename, request, f.Path, f.Size, f.Bytes, formatTime(f.ModTime), f.Checksum, f.Digest,
		f.Product, f.GroupKey, jsonText(f.Metadata), status, note, tx.at, tx.at)
	if err != nil {
		return fmt.Errorf("file %q: %w", f.Filename, err)
	}
	return tx.record(ctx, pipeline.EntityFile, id, pipeline.Created, status, note)
}

// EnterFiles enters files that were found without a request, as new; files
// whose names are known already are left alone. It returns how many were entered.
func (s *Store) EnterFiles(ctx context.Context, files []pipeline.File, note string) (entered int, err error) {
	err = s.write(ctx, "enter files", func(tx *txn) error {
		entered = 0
		for _, f := range files {
			isNew, err := tx.enterFile(ctx, f, pipeline.New, note)
			if err != nil {
				return err
			}
			if isNew {
				entered++
			}
		}
		return nil
	})
	return entered, err
}

// AddFiles enters files that an operator brought, as added: they are whole, and
// where f.Path says. A file that is in hand already is an error, and then none
// is added; one that was deleted may come again, to be processed again.
func (s *Store) AddFiles(ctx context.Context, files []pipeline.File, reason string) error {
	return s.write(ctx, "add files", func(tx *txn) error {
		for _, f := range files {
			var id int64
			var status pipeline.Status
			err := tx.QueryRowContext(ctx, `
				SELECT id, status FROM files WHERE filename = ? AND status <> 'deleted'`, f.Filename).Scan(&id, &status)
			if err == nil {
				return fmt.Errorf("file %q is tracked already, as file %d, %s", f.Filename, id, status)
			} else if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			f.Bytes = f.Size
			if err := tx.insertFile(ctx, f, pipeline.Added, note("added", reason)); err != nil {
				return err
			}
		}
		return nil
	})
}

// note joins what was done with the reason that an operator gave.
func note(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}

// KnownFilenames returns those of the names that were ever tracked.
func (s *Store) KnownFilenames(ctx context.Context, names []string) (map[string]bool, error) {
	if len(names) == 0 {
		return map[string]bool{}, nil
	}
	list, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	found, err := query(ctx, s, "known files", `
		SELECT value FROM json_each(?)
		 WHERE EXISTS (SELECT 1 FROM files WHERE filename = value)`,
		func(rows *sql.Rows, name *string) error { return rows.Scan(name) }, string(list))
	known := make(map[string]bool, len(found))
	for _, name := range found {
		known[name] = true
	}
	return known, err
}

// File returns one file.
func (s *Store) File(ctx context.Context, id pipeline.FileID) (pipeline.File, error) {
	return queryOne(ctx, s, fmt.Sprintf("file %d", id),
		`SELECT `+fileColumns+` FROM files WHERE id = ?`, scanFile, id)
}

// FilesIn returns the files of one status, oldest first.
func (s *Store) FilesIn(ctx context.Context, status pipeline.Status) ([]pipeline.File, error) {
	return query(ctx, s, "files "+string(status), `
		SELECT `+fileColumns+` FROM files WHERE status = ? ORDER BY id`, scanFile, status)
}

// DueFiles returns at most limit files that may be downloaded now: first those
// to be tried again, then new ones, oldest first.
func (s *Store) DueFiles(ctx context.Context, limit int) ([]pipeline.File, error) {
	due, err := query(ctx, s, "files to retry", `
		SELECT `+fileColumns+` FROM files
		 WHERE status = 'retrying' AND next_try_at <= ?
		 ORDER BY next_try_at, id LIMIT ?`, scanFile, formatTime(s.now()), limit)
	if err != nil || len(due) >= limit {
		return due, err
	}
	fresh, err := query(ctx, s, "new files", `
		SELECT `+fileColumns+` FROM files
		 WHERE status = 'new' AND next_try_at <= ?
		 ORDER BY next_try_at, id LIMIT ?`, scanFile, formatTime(s.now()), limit-len(due))
	return append(due, fresh...), err
}

// Space is what the files in hand take and will take of the disk, in bytes.
type Space struct {
	OnDisk  int64 // of files from the archive that are here, whole or in part
	ToCome  int64 // that the running downloads will still bring
	Waiting int64 // of files not begun, or waiting for another try
	Files   int   // still to be downloaded, or being downloaded
}

// Space adds up the files that came or will come from the archive.
func (s *Store) Space(ctx context.Context) (Space, error) {
	var sp Space
	err := s.ro.QueryRowContext(ctx, `
		SELECT coalesce(sum(bytes), 0),
		       coalesce(sum(size - bytes) FILTER (WHERE size > bytes AND status IN ('downloading', 'unverified')), 0),
		       coalesce(sum(size - bytes) FILTER (WHERE size > bytes AND status IN ('new', 'retrying', 'failed')), 0),
		       count(*) FILTER (WHERE status <> 'downloaded')
		  FROM files
		 WHERE status IN ('new', 'retrying', 'failed', 'downloading', 'unverified', 'downloaded')`,
	).Scan(&sp.OnDisk, &sp.ToCome, &sp.Waiting, &sp.Files)
	return sp, wrap("space", s.classify(ctx, err))
}

// RetryFile schedules another try of a failed file.
func (s *Store) RetryFile(ctx context.Context, id pipeline.FileID, at time.Time, details string) error {
	return s.write(ctx, fmt.Sprintf("retry file %d", id), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntityFile, int64(id), pipeline.Failed, pipeline.Retrying, details); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE files SET next_try_at = ? WHERE id = ?`, formatTime(at), id)
		return err
	})
}

// GiveUpFile ends the tries of a failed file and leaves a notice. What was
// fetched of it is to be removed by the caller afterwards.
func (s *Store) GiveUpFile(ctx context.Context, id pipeline.FileID, details string, n pipeline.Notice) error {
	return s.write(ctx, fmt.Sprintf("give up file %d", id), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntityFile, int64(id), pipeline.Failed, pipeline.TerminalFailure, details); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE files SET bytes = 0 WHERE id = ?`, id); err != nil {
			return err
		}
		return tx.notify(ctx, n)
	})
}

// RetryFailedFile lets a file that was given up be fetched again from the
// beginning, at an operator's wish. One that is to be deleted is refused: the
// uploader may be deleting it now, and would take what comes.
func (s *Store) RetryFailedFile(ctx context.Context, id pipeline.FileID, reason string) error {
	return s.write(ctx, fmt.Sprintf("retry file %d", id), func(tx *txn) error {
		var doomed bool
		err := tx.QueryRowContext(ctx, `SELECT delete_wanted FROM files WHERE id = ?`, id).Scan(&doomed)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if doomed {
			return fmt.Errorf("%w: it is about to be deleted", pipeline.ErrForbidden)
		}
		if err := tx.move(ctx, pipeline.EntityFile, int64(id), pipeline.TerminalFailure, pipeline.Retrying, note("retried by hand", reason)); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE files SET attempts = 0, bytes = 0, next_try_at = ? WHERE id = ?`, tx.at, id)
		return err
	})
}

// WantFileDeleted marks a file for deletion at an operator's wish. A file that
// a job may still need is refused.
func (s *Store) WantFileDeleted(ctx context.Context, id pipeline.FileID, reason string) error {
	return s.write(ctx, fmt.Sprintf("remove file %d", id), func(tx *txn) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE files SET delete_wanted = 1, grouped = 1, updated_at = ?
			 WHERE id = ? AND status IN ('downloaded', 'added', 'terminal_failure')
			   AND NOT EXISTS (SELECT 1 FROM job_files JOIN jobs ON jobs.id = job_files.job_id
			                    WHERE job_files.file_id = files.id
			                      AND jobs.status NOT IN ('uploaded', 'terminal_failure'))`, tx.at, id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return tx.whyNotDeletable(ctx, id)
		}
		return tx.record(ctx, pipeline.EntityFile, int64(id), "", "", note("to be deleted", reason))
	})
}

func (tx *txn) whyNotDeletable(ctx context.Context, id pipeline.FileID) error {
	var status pipeline.Status
	err := tx.QueryRowContext(ctx, `SELECT status FROM files WHERE id = ?`, id).Scan(&status)
	if errors.Is(err, sql.ErrNoRows) {
		return pipeline.ErrNotFound
	} else if err != nil {
		return err
	}
	switch status {
	case pipeline.Downloaded, pipeline.Added:
		return fmt.Errorf("%w: a job needs it; kill or finish the job first", pipeline.ErrForbidden)
	}
	return fmt.Errorf("%w: it is %s", pipeline.ErrForbidden, status)
}

// FilesToDelete returns the files whose deletion is decided and not yet done.
func (s *Store) FilesToDelete(ctx context.Context) ([]pipeline.File, error) {
	return query(ctx, s, "files to delete", `
		SELECT `+fileColumns+` FROM files
		 WHERE delete_wanted = 1 AND status IN ('downloaded', 'added', 'terminal_failure')
		 ORDER BY id`, scanFile)
}

// FileDeleted records that a file that was to be deleted is gone from the disk.
// It returns pipeline.ErrForbidden if nobody wanted that.
func (s *Store) FileDeleted(ctx context.Context, f pipeline.File) error {
	return s.write(ctx, fmt.Sprintf("file %d deleted", f.ID), func(tx *txn) error {
		if err := tx.move(ctx, pipeline.EntityFile, int64(f.ID), f.Status, pipeline.Deleted, "raw data deleted"); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `UPDATE files SET bytes = 0 WHERE id = ? AND delete_wanted = 1`, f.ID)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return fmt.Errorf("%w: it was not to be deleted", pipeline.ErrForbidden)
		}
		return nil
	})
}

// RelistFile records that a file that waits for its download has changed on
// the server: nothing that was fetched of it is of use.
func (s *Store) RelistFile(ctx context.Context, f pipeline.File) error {
	return s.write(ctx, fmt.Sprintf("relist file %d", f.ID), func(tx *txn) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE files SET size = ?, mod_time = ?, checksum = ?, bytes = 0, updated_at = ?
			 WHERE id = ? AND status IN ('new', 'retrying')`,
			f.Size, formatTime(f.ModTime), f.Checksum, tx.at, f.ID)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return tx.notIn(ctx, pipeline.EntityFile, int64(f.ID), f.Status)
		}
		return tx.record(ctx, pipeline.EntityFile, int64(f.ID), "", "",
			fmt.Sprintf("changed on the file server, now %d bytes", f.Size))
	})
}
