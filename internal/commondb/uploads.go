package commondb

import (
	"context"
	"fmt"
	"time"

	"longhaul/internal/pipeline"
)

// Uploaded is one upload that is in the common database.
type Uploaded struct {
	ID int64 // its key, by which a list goes on
	Meta
	At time.Time // of the upload
}

// Uploads returns at most limit uploads of a site with a larger key than
// after, in the order of their keys. A site is known by its institution,
// pipeline and survey.
func (db *DB) Uploads(ctx context.Context, institution, pipe, survey string, after int64, limit int) ([]Uploaded, error) {
	var all []Uploaded
	err := db.within(ctx, func(ctx context.Context) error {
		param := db.dialect.param
		rows, err := db.read.QueryContext(ctx, `
			SELECT u.id, u.submit, u.job, u.stage, u.institution, u.pipeline, u.survey,
			       coalesce(v.version_number, ''), u.created_at
			  FROM uploads u LEFT JOIN versions v ON v.id = u.version_id
			 WHERE u.institution = `+param(1)+` AND u.pipeline = `+param(2)+` AND u.survey = `+param(3)+` AND u.id > `+param(4)+`
			 ORDER BY u.id LIMIT `+param(5), institution, pipe, survey, after, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var u Uploaded
			var created any
			if err := rows.Scan(&u.ID, &u.Submit, &u.Job, &u.Stage, &u.Institution, &u.Pipeline, &u.Survey, &u.Version, &created); err != nil {
				return err
			}
			if u.At, err = instant(created); err != nil {
				return pipeline.Fatal(fmt.Errorf("uploads.created_at of %q: %w", u.Submit, err))
			}
			all = append(all, u)
		}
		return rows.Err()
	})
	return all, wrap(err, "list uploads")
}

// OriginalFiles returns the names of raw data files that the headers of an
// upload tell: for a pair of files, that of one of them.
func (db *DB) OriginalFiles(ctx context.Context, upload int64) ([]string, error) {
	var names []string
	err := db.within(ctx, func(ctx context.Context) error {
		rows, err := db.read.QueryContext(ctx, `
			SELECT DISTINCT original_file FROM headers WHERE upload_id = `+db.dialect.param(1)+` ORDER BY original_file`, upload)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			names = append(names, name)
		}
		return rows.Err()
	})
	return names, wrap(err, "files of upload %d", upload)
}
