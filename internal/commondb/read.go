package commondb

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/results"
)

// Find reports whether the upload of a submit is in the common database, and
// since when.
func (db *DB) Find(ctx context.Context, submit string) (found bool, at time.Time, err error) {
	err = db.within(ctx, func(ctx context.Context) (err error) {
		at, _, err = db.find(ctx, db.read, submit)
		return err
	})
	if errors.Is(err, pipeline.ErrNotFound) {
		return false, time.Time{}, nil
	}
	return err == nil, at, wrap(err, "find upload %q", submit)
}

// find returns when an upload was made and its digest, or pipeline.ErrNotFound.
func (db *DB) find(ctx context.Context, q querier, submit string) (at time.Time, digest string, err error) {
	var created any
	err = q.QueryRowContext(ctx, `SELECT created_at, digest FROM uploads WHERE submit = `+db.dialect.param(1), submit).Scan(&created, &digest)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, "", pipeline.ErrNotFound
	} else if err != nil {
		return time.Time{}, "", fmt.Errorf("look for the upload: %w", err)
	}
	if at, err = instant(created); err != nil {
		return time.Time{}, "", pipeline.Fatal(fmt.Errorf("uploads.created_at of %q: %w", submit, err))
	}
	return at, digest, nil
}

// instant is a time as a driver gave it: SQLite has text for it.
func instant(v any) (time.Time, error) {
	if at, ok := v.(time.Time); ok {
		return at.UTC(), nil
	}
	return time.Parse(timeFormat, fmt.Sprint(plain(v)))
}

// findWork returns the submit that uploaded some work, or pipeline.ErrNotFound.
func (db *DB) findWork(ctx context.Context, q querier, work string) (submit string, err error) {
	if work == "" {
		return "", pipeline.ErrNotFound
	}
	err = q.QueryRowContext(ctx, `SELECT submit FROM uploads WHERE work = `+db.dialect.param(1), work).Scan(&submit)
	if errors.Is(err, sql.ErrNoRows) {
		return "", pipeline.ErrNotFound
	} else if err != nil {
		return "", fmt.Errorf("look for the work: %w", err)
	}
	return submit, nil
}

// Counts returns the number of rows of every table.
func (db *DB) Counts(ctx context.Context) (map[string]int, error) {
	counts := make(map[string]int)
	err := db.within(ctx, func(ctx context.Context) error {
		cat, err := db.dialect.catalog(ctx, db.read)
		if err != nil {
			return err
		}
		for name := range cat {
			var n int
			if err := db.read.QueryRowContext(ctx, `SELECT count(*) FROM `+db.dialect.quote(name)).Scan(&n); err != nil {
				return err
			}
			counts[name] = n
		}
		return nil
	})
	if err != nil {
		return nil, wrap(err, "count rows")
	}
	return counts, nil
}

// Rows returns all rows of a table in the order of their keys, each from
// column to int64, float64, string or nil. In place of a blob there is its
// size in bytes. It is meant for tables that fit into memory.
func (db *DB) Rows(ctx context.Context, name string) ([]map[string]any, error) {
	var out []map[string]any
	err := db.within(ctx, func(ctx context.Context) error {
		cat, err := db.dialect.catalog(ctx, db.read)
		if err != nil {
			return err
		}
		t, err := cat.table(name)
		if err != nil {
			return err
		}
		out, err = db.rows(ctx, t)
		return err
	})
	return out, wrap(err, "rows of %.80q", name)
}

func (db *DB) rows(ctx context.Context, t *table) ([]map[string]any, error) {
	columns := slices.Sorted(maps.Keys(t.columns))
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = db.dialect.asStored(t.columns[c])
		if t.columns[c].kind == kindBlob {
			list[i] = db.dialect.size(c)
		}
	}
	rows, err := db.read.QueryContext(ctx, `SELECT `+strings.Join(list, ", ")+
		` FROM `+db.dialect.quote(t.name)+` ORDER BY `+db.dialect.quote(t.key))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []map[string]any
	for rows.Next() {
		vals := make([]any, len(columns))
		dest := make([]any, len(columns))
		for i := range vals {
			dest[i] = &vals[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		m := make(map[string]any, len(columns))
		for i, c := range columns {
			m[c] = plain(vals[i])
			switch v := m[c].(type) {
			case bool:
				m[c], _ = kindInteger.hold(v)
			case time.Time:
				m[c] = v.UTC().Format(timeFormat)
			}
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// errRollback ends a transaction that was only a trial.
var errRollback = errors.New("roll back")

// Check inserts an upload of every kind of row, reads it back, and rolls it
// back: all that an upload needs but the commit. Nothing stays.
func (db *DB) Check(ctx context.Context) error {
	err := db.within(ctx, func(ctx context.Context) error {
		records := trial()
		size, err := measureTree(records)
		if err != nil {
			return err
		}
		err = db.transaction(ctx, func(s *session) error {
			if err := db.store(ctx, s, Meta{Submit: trialName(), Version: trialName()}, size, records); err != nil {
				return err
			}
			return errRollback
		})
		if errors.Is(err, errRollback) {
			return nil
		}
		return err
	})
	return wrap(err, "check the common database")
}

func trialName() string { return "longhaul-check-" + rand.Text() }

// trial is a small upload with a row in every table of ours.
func trial() []results.Record {
	content := "trial"
	sum := sha256.Sum256([]byte(content))
	kind := func(k string) map[string]results.Record {
		return map[string]results.Record{"type_id": {Table: "diagnostic_types", Values: map[string]any{"name": trialName(), "kind": k}}}
	}
	return []results.Record{{
		Table:  "headers",
		Values: map[string]any{"original_file": "trial.fits", "beam_id": int64(0), "sample_time": 65.476190476},
		Refs:   map[string]results.Record{"observation_id": {Table: "observations", Values: map[string]any{"obs_name": trialName()}}},
		Children: []results.Record{
			{Table: "diagnostics", Values: map[string]any{"value": 0.1}, Refs: kind("numeric")},
			{Table: "diagnostic_plots", Values: map[string]any{"filename": "trial.png"}, Refs: kind("binary"),
				Blobs: map[string]results.Blob{"filedata": {
					Name: "trial.png", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]),
					Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
				}}},
		},
	}}
}
