package jobtrackertest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	_ "modernc.org/sqlite" // the database of the job-tracker

	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
)

// Reporter is what AssertInvariants needs of a *testing.T, and of others' T.
type Reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// AssertInvariants checks the whole job-tracker of store against what must
// hold at every moment, and reports each row that breaks a promise. Daemons
// may be at work meanwhile.
func AssertInvariants(t Reporter, store *jobtracker.Store) {
	t.Helper()
	found, err := Violations(t.Context(), store.Path())
	if err != nil {
		t.Fatalf("check invariants: %v", err)
	}
	for _, v := range found {
		t.Errorf("job-tracker: %s", v)
	}
}

// Violations returns a sentence for each broken promise in the job-tracker at a
// path or an address, as it is at one moment.
func Violations(ctx context.Context, path string) (found []string, err error) {
	db, snapshot, err := look(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, snapshot) // one snapshot for all that follows
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	found, err = brokenHistory(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, rule := range append(rules(), soundness(path)...) {
		broken, err := selectText(ctx, tx, rule.broken)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", rule.promise, err)
		}
		for _, row := range broken {
			found = append(found, rule.promise+": "+row)
		}
	}
	return found, nil
}

func selectText(ctx context.Context, tx *sql.Tx, query string) ([]string, error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

// thing is one row of an entity.
type thing struct {
	entity pipeline.Entity
	id     int64
}

func (r thing) String() string { return fmt.Sprintf("%s %d", r.entity, r.id) }

// brokenHistory follows every row's events from its creation: each is allowed
// by the state machine, begins where the one before ended, and the last ends
// where the row is.
func brokenHistory(ctx context.Context, tx *sql.Tx) ([]string, error) {
	now, err := statuses(ctx, tx)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `
		SELECT id, entity, entity_id, was, became, actor FROM events WHERE was <> '' OR became <> '' ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []string
	is := make(map[thing]pipeline.Status)
	for rows.Next() {
		var e pipeline.Event
		if err := rows.Scan(&e.ID, &e.Entity, &e.EntityID, &e.Was, &e.Became, &e.Actor); err != nil {
			return nil, err
		}
		r := thing{e.Entity, e.EntityID}
		if _, exists := now[r]; !exists {
			found = append(found, fmt.Sprintf("event %d is about %v, which does not exist", e.ID, r))
		}
		if !pipeline.MachineOf(e.Entity).Allows(e.Was, e.Became) {
			found = append(found, fmt.Sprintf("event %d took %v from %q to %q, which is not allowed", e.ID, r, e.Was, e.Became))
		}
		if is[r] != e.Was {
			found = append(found, fmt.Sprintf("event %d took %v from %q, but it was %q", e.ID, r, e.Was, is[r]))
		}
		if e.Actor == "" {
			found = append(found, fmt.Sprintf("event %d has no actor", e.ID))
		}
		is[r] = e.Became
	}
	for r, status := range now {
		if is[r] != status {
			found = append(found, fmt.Sprintf("%v is %q, but its history ends with %q", r, status, is[r]))
		}
	}
	return found, rows.Err()
}

// statuses returns where every row is.
func statuses(ctx context.Context, tx *sql.Tx) (map[thing]pipeline.Status, error) {
	rows, err := tx.QueryContext(ctx, `
		SELECT 'request', id, status FROM requests
		UNION ALL SELECT 'file', id, status FROM files
		UNION ALL SELECT 'attempt', id, status FROM download_attempts
		UNION ALL SELECT 'job', id, status FROM jobs
		UNION ALL SELECT 'submit', id, status FROM job_submits`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make(map[thing]pipeline.Status)
	for rows.Next() {
		var r thing
		var status pipeline.Status
		if err := rows.Scan(&r.entity, &r.id, &status); err != nil {
			return nil, err
		}
		all[r] = status
	}
	return all, rows.Err()
}
