package jobtracker

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"longhaul/internal/pipeline"
)

// Outage is an outside system that does not answer a daemon now.
type Outage struct {
	System pipeline.System
	Daemon string
	Since  time.Time
	Error  string
}

// OutageBegan records that a system does not answer us, and leaves a notice.
// An outage that is known already, from before a restart, stays as it is.
func (s *Store) OutageBegan(ctx context.Context, system pipeline.System, reason string, n pipeline.Notice) error {
	return s.write(ctx, "outage of "+string(system), func(tx *txn) error {
		return tx.outageBegan(ctx, system, tx.actor, reason, n)
	})
}

func (tx *txn) outageBegan(ctx context.Context, system pipeline.System, daemon, reason string, n pipeline.Notice) error {
	res, err := tx.ExecContext(ctx, `
		INSERT INTO outages (system, daemon, since, error) VALUES (?, ?, ?, ?)
		ON CONFLICT DO NOTHING`, system, daemon, tx.at, reason)
	if err != nil {
		return err
	}
	if added, err := res.RowsAffected(); err != nil || added == 0 {
		return err
	}
	if err := tx.record(ctx, pipeline.EntitySystem, 0, "", "", fmt.Sprintf("%s does not answer: %s", system, reason)); err != nil {
		return err
	}
	return tx.notify(ctx, n)
}

// OutageOver records that a system answers us again.
func (s *Store) OutageOver(ctx context.Context, system pipeline.System) error {
	return s.write(ctx, "end of outage of "+string(system), func(tx *txn) error {
		return tx.outageOver(ctx, system, tx.actor)
	})
}

func (tx *txn) outageOver(ctx context.Context, system pipeline.System, daemon string) error {
	rows, err := tx.QueryContext(ctx, `
		DELETE FROM outages WHERE system = ? AND daemon = ? RETURNING since`, system, daemon)
	if err != nil {
		return err
	}
	gone, err := scanAll(rows, func(rows *sql.Rows, t *time.Time) error { return rows.Scan(timeScanner{t}) })
	if err != nil || len(gone) == 0 {
		return err
	}
	return tx.record(ctx, pipeline.EntitySystem, 0, "", "",
		fmt.Sprintf("%s is back after %s", system, tx.since(gone[0])))
}

// Outages returns the systems that do not answer now.
func (s *Store) Outages(ctx context.Context) ([]Outage, error) {
	return query(ctx, s, "outages", `SELECT system, daemon, since, error FROM outages ORDER BY since`,
		func(rows *sql.Rows, o *Outage) error {
			return rows.Scan(&o.System, &o.Daemon, timeScanner{&o.Since}, &o.Error)
		})
}
