package jobtracker

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"longhaul/internal/pipeline"
)

const pauseColumns = `kind, since, actor, breaker, reason, probe_at, probes, coalesce(probe, 0)`

func scanPause(rows *sql.Rows, p *pipeline.Pause) error {
	return rows.Scan(&p.Kind, timeScanner{&p.Since}, &p.Actor, &p.Breaker, &p.Reason,
		timeScanner{&p.ProbeAt}, &p.Probes, &p.Probe)
}

// pauseHeld selects the pause of a kind, if it holds.
const pauseHeld = `SELECT ` + pauseColumns + ` FROM pauses WHERE kind = ? AND resumed_at = ''`

// Pauses returns what is paused now.
func (s *Store) Pauses(ctx context.Context) ([]pipeline.Pause, error) {
	return query(ctx, s, "pauses", `SELECT `+pauseColumns+` FROM pauses WHERE resumed_at = '' ORDER BY since, kind`, scanPause)
}

// Paused returns the pause of one kind; held is false if there is none.
func (s *Store) Paused(ctx context.Context, kind pipeline.PauseKind) (p pipeline.Pause, held bool, err error) {
	all, err := query(ctx, s, "pause of "+string(kind), pauseHeld, scanPause, kind)
	if err != nil || len(all) == 0 {
		return p, false, err
	}
	return all[0], true, nil
}

// paused is Paused within a transaction.
func (tx *txn) paused(ctx context.Context, kind pipeline.PauseKind) (p pipeline.Pause, held bool, err error) {
	rows, err := tx.QueryContext(ctx, pauseHeld, kind)
	if err != nil {
		return p, false, err
	}
	all, err := scanAll(rows, scanPause)
	if err != nil || len(all) == 0 {
		return p, false, err
	}
	return all[0], true, nil
}

// Pause stops a part of the work at a person's wish, until Resume. It takes the
// place of a pause by the breaker. If a person has paused it already, it changes
// nothing and returns an error that wraps pipeline.ErrPaused and says who.
func (s *Store) Pause(ctx context.Context, kind pipeline.PauseKind, reason string) error {
	return s.write(ctx, "pause "+string(kind), func(tx *txn) error {
		if !slices.Contains(pipeline.PauseKinds(), kind) {
			return pipeline.ErrForbidden
		}
		if p, held, err := tx.paused(ctx, kind); err != nil {
			return err
		} else if held && !p.Breaker {
			return alreadyPaused(p)
		}
		return tx.beginPause(ctx, pipeline.Pause{Kind: kind, Reason: reason})
	})
}

func alreadyPaused(p pipeline.Pause) error {
	return fmt.Errorf("%w since %s UTC by %s", pipeline.ErrPaused, p.Since.UTC().Format(time.DateTime), note(p.Actor, p.Reason))
}

// beginPause writes a pause down, in the place of one of before.
func (tx *txn) beginPause(ctx context.Context, p pipeline.Pause) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO pauses (kind, since, actor, breaker, reason, probe_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (kind) DO UPDATE
		   SET since = excluded.since, actor = excluded.actor, breaker = excluded.breaker, reason = excluded.reason,
		       probe_at = excluded.probe_at, probes = 0, probe = NULL, resumed_at = ''`,
		p.Kind, tx.at, tx.actor, p.Breaker, p.Reason, formatTime(p.ProbeAt))
	if err != nil {
		return err
	}
	what := string(p.Kind) + " paused"
	if p.Breaker {
		what += " by the breaker"
	}
	return tx.record(ctx, pipeline.EntitySystem, 0, "", "", note(what, p.Reason))
}

// Resume ends a pause at a person's wish, whoever made it, and returns what it
// was; pipeline.ErrNotFound if nothing of that kind is paused.
func (s *Store) Resume(ctx context.Context, kind pipeline.PauseKind, reason string) (p pipeline.Pause, err error) {
	err = s.write(ctx, "resume "+string(kind), func(tx *txn) error {
		held := false
		if p, held, err = tx.paused(ctx, kind); err != nil {
			return err
		} else if !held {
			return fmt.Errorf("not paused: %w", pipeline.ErrNotFound)
		}
		return tx.endPause(ctx, p, note("resumed by hand", reason))
	})
	return p, err
}

// ResumeAfterProbe ends the breaker's pause since its last probe went well, and
// leaves a notice. It returns pipeline.ErrStale if that pause is over or its last
// probe is another one.
func (s *Store) ResumeAfterProbe(ctx context.Context, probe pipeline.SubmitID, n pipeline.Notice) error {
	return s.write(ctx, fmt.Sprintf("resume after probe %d", probe), func(tx *txn) error {
		p, held, err := tx.paused(ctx, pipeline.PauseSubmissions)
		if err != nil {
			return err
		}
		if !held || !p.Breaker || p.Probe != probe {
			return pipeline.ErrStale
		}
		if err := tx.endPause(ctx, p, fmt.Sprintf("submit %d went well, probe %d", probe, p.Probes)); err != nil {
			return err
		}
		return tx.notify(ctx, n)
	})
}

func (tx *txn) endPause(ctx context.Context, p pipeline.Pause, why string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE pauses SET resumed_at = ? WHERE kind = ?`, tx.at, p.Kind); err != nil {
		return err
	}
	return tx.record(ctx, pipeline.EntitySystem, 0, "", "", fmt.Sprintf("%s are back after %s: %s", p.Kind, tx.since(p.Since), why))
}

// since is the time from then until the transaction.
func (tx *txn) since(then time.Time) time.Duration {
	now, _ := time.Parse(timeLayout, tx.at)
	return now.Sub(then).Round(time.Second)
}
