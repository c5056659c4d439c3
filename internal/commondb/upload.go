package commondb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/results"
)

// timeFormat is how times are stored: UTC, and in order as text.
const timeFormat = "2006-01-02T15:04:05.000Z"

// Meta says what an upload is of.
type Meta struct {
	Submit      string // its key: the submit's unique name
	Work        string // the same for every submit of the same work; "" if that is not known
	Job         string // the job's name, for people
	Stage       string
	Institution string
	Pipeline    string
	Survey      string
	Version     string // version number of all software that made the results; "" if not known
}

// Receipt is what the common database holds after an upload.
type Receipt struct {
	Already bool   // it was there before
	By      string // the submit that uploaded the same work before, if that was another one
	Rows    int    // without shared ones, such as observations and types
	Bytes   int64  // of all blobs
	Digest  string // SHA-256 over all records and blobs, hex
}

// Upload writes the records in one transaction, reads every row and blob back,
// compares, and commits. An upload under the same m.Submit that is there
// already is not repeated: if it has the same content, Already says so; if not,
// ErrMismatch. Nor is an upload of the same work by another submit, whatever
// came out of it this time: By names the one that is there.
//
// After an error of any kind, calling it again is safe: when the connection was
// lost during the commit, this is how to learn what became of it. One blob at a
// time is held in memory, with SQLite three copies of it.
func (db *DB) Upload(ctx context.Context, m Meta, records []results.Record) (Receipt, error) {
	var receipt Receipt
	err := db.within(ctx, func(ctx context.Context) (err error) {
		receipt, err = db.upload(ctx, m, records)
		return err
	})
	if err != nil {
		return Receipt{}, fmt.Errorf("upload %q: %w", m.Submit, err)
	}
	return receipt, nil
}

func (db *DB) upload(ctx context.Context, m Meta, records []results.Record) (Receipt, error) {
	if m.Submit == "" {
		return Receipt{}, rejected("the upload has no submit's name")
	}
	size, err := measureTree(records)
	if err != nil {
		return Receipt{}, err
	}
	var receipt Receipt
	err = db.transaction(ctx, func(s *session) error {
		receipt = Receipt{Rows: size.rows, Bytes: size.bytes, Digest: size.digest}
		at, digest, err := db.find(ctx, s.tx, m.Submit)
		if err == nil {
			receipt.Already = true
			return sameUpload(at, digest, size.digest)
		} else if !errors.Is(err, pipeline.ErrNotFound) {
			return err
		}
		receipt.By, err = db.findWork(ctx, s.tx, m.Work)
		if err == nil {
			receipt.Already = true
			return nil
		} else if !errors.Is(err, pipeline.ErrNotFound) {
			return err
		}
		return db.store(ctx, s, m, size, records)
	})
	return receipt, err
}

// sameUpload compares an upload that is there with the one to be made.
func sameUpload(at time.Time, there, here string) error {
	if there == here {
		return nil
	}
	return mismatch("it was uploaded at %s with other content (digest %.12s…, now %.12s…); nothing was changed: compare the output directory with that upload",
		at.Format(time.RFC3339), there, here)
}

// store writes an upload and reads it back.
func (db *DB) store(ctx context.Context, s *session, m Meta, size measure, records []results.Record) error {
	cat, err := db.dialect.catalog(ctx, s.tx)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	if err := cat.ours(); err != nil {
		return err
	}
	own := map[string]any{
		"submit": m.Submit, "job": m.Job, "stage": m.Stage, "institution": m.Institution,
		"pipeline": m.Pipeline, "survey": m.Survey, "digest": size.digest,
		"records": int64(size.rows), "bytes": size.bytes, "created_at": db.now().UTC().Format(timeFormat),
	}
	if m.Work != "" {
		own["work"] = m.Work
	}
	p, err := newPlan(cat, db.dialect.maxRow(), m.Version, own, records)
	if err != nil {
		return err
	}
	return s.store(ctx, p)
}
