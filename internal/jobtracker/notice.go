package jobtracker

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"longhaul/internal/pipeline"
)

// firstNotices is how many notices of a kind are given in full for a digest.
const firstNotices = 20

// notify writes a notice to the outbox, unless nobody wants to be told: the
// zero Notice says so, or the kind does.
func (tx *txn) notify(ctx context.Context, n pipeline.Notice) error {
	if n == (pipeline.Notice{}) || !tx.wants(n.Kind) {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO notices (kind, subject, body, created_at) VALUES (?, ?, ?, ?)`,
		n.Kind, n.Subject, n.Body, tx.at)
	return err
}

// Notify writes a notice that belongs to no change of status.
func (s *Store) Notify(ctx context.Context, n pipeline.Notice) error {
	return s.write(ctx, "notice", func(tx *txn) error { return tx.notify(ctx, n) })
}

// PendingNotices returns the notices that no mail carries yet, by kind.
func (s *Store) PendingNotices(ctx context.Context) ([]pipeline.PendingNotices, error) {
	kinds, err := query(ctx, s, "pending notices", `
		SELECT kind, count(*), min(created_at), max(id) FROM notices
		 WHERE mail_id IS NULL GROUP BY kind ORDER BY kind`,
		func(rows *sql.Rows, p *pipeline.PendingNotices) error {
			return rows.Scan(&p.Kind, &p.Count, timeScanner{&p.Oldest}, &p.LastID)
		})
	if err != nil {
		return nil, err
	}
	for i, k := range kinds {
		kinds[i].First, err = query(ctx, s, "pending notices", `
			SELECT kind, subject, body FROM notices
			 WHERE mail_id IS NULL AND kind = ? AND id <= ? ORDER BY id LIMIT ?`,
			func(rows *sql.Rows, n *pipeline.Notice) error { return rows.Scan(&n.Kind, &n.Subject, &n.Body) },
			k.Kind, k.LastID, firstNotices)
		if err != nil {
			return nil, err
		}
	}
	return kinds, nil
}

// ComposeMail writes a mail down before it is sent, and gives it all pending
// notices of its kind up to the one with the ID upTo. If these are not exactly
// m.Count, it changes nothing and returns pipeline.ErrStale: another mailer
// was quicker.
func (s *Store) ComposeMail(ctx context.Context, m pipeline.Mail, upTo int64) (pipeline.Mail, error) {
	err := s.write(ctx, "compose mail", func(tx *txn) error {
		var err error
		m.ID, err = tx.insert(ctx, `
			INSERT INTO mails (kind, subject, body, count, created_at) VALUES (?, ?, ?, ?, ?)`,
			m.Kind, m.Subject, m.Body, m.Count, tx.at)
		if err != nil {
			return err
		}
		m.CreatedAt, _ = time.Parse(timeLayout, tx.at)
		res, err := tx.ExecContext(ctx, `
			UPDATE notices SET mail_id = ? WHERE mail_id IS NULL AND kind = ? AND id <= ?`, m.ID, m.Kind, upTo)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 || n != int64(m.Count) {
			return fmt.Errorf("%d notices, not %d: %w", n, m.Count, pipeline.ErrStale)
		}
		return nil
	})
	return m, err
}

const mailColumns = `id, kind, subject, body, count, created_at, sent_at`

func scanMail(rows *sql.Rows, m *pipeline.Mail) error {
	return rows.Scan(&m.ID, &m.Kind, &m.Subject, &m.Body, &m.Count, timeScanner{&m.CreatedAt}, timeScanner{&m.SentAt})
}

// UnsentMails returns the mails that no server has confirmed, oldest first.
func (s *Store) UnsentMails(ctx context.Context) ([]pipeline.Mail, error) {
	return query(ctx, s, "unsent mails", `SELECT `+mailColumns+` FROM mails WHERE sent_at = '' ORDER BY id`, scanMail)
}

// MailSent records that a mail server took a mail.
func (s *Store) MailSent(ctx context.Context, id int64) error {
	return s.write(ctx, "mail sent", func(tx *txn) error {
		_, err := tx.ExecContext(ctx, `UPDATE mails SET sent_at = ? WHERE id = ? AND sent_at = ''`, tx.at, id)
		return err
	})
}

// MailsSince counts the mails composed or sent since t: one that was composed
// long ago and goes out now is a mail of now.
func (s *Store) MailsSince(ctx context.Context, t time.Time) (int, error) {
	var n int
	err := s.ro.QueryRowContext(ctx, `
		SELECT count(*) FROM mails WHERE created_at >= ?1 OR sent_at >= ?1`, formatTime(t)).Scan(&n)
	return n, wrap("mails since", s.classify(ctx, err))
}

// Mails returns the newest mails, newest first.
func (s *Store) Mails(ctx context.Context, limit int) ([]pipeline.Mail, error) {
	return query(ctx, s, "mails", `SELECT `+mailColumns+` FROM mails ORDER BY id DESC LIMIT ?`, scanMail, limit)
}
