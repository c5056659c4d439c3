package notice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"longhaul/internal/crashpoint"
	"longhaul/internal/loop"
	"longhaul/internal/pipeline"
)

// Outbox is where notices wait and mails are written down.
type Outbox interface {
	// PendingNotices returns what no mail carries yet, one entry for each
	// kind that has any; First holds up to 20 notices, the oldest first.
	PendingNotices(ctx context.Context) ([]pipeline.PendingNotices, error)
	// ComposeMail writes a mail down and assigns to it all pending notices of
	// its kind with an id of at most upTo, in one transaction, and returns it
	// with its ID. If these are not exactly mail.Count, it changes nothing and
	// returns pipeline.ErrStale: another mailer was quicker.
	ComposeMail(ctx context.Context, mail pipeline.Mail, upTo int64) (pipeline.Mail, error)
	// UnsentMails returns the mails that are written down and not known to
	// be sent, the oldest first.
	UnsentMails(ctx context.Context) ([]pipeline.Mail, error)
	// MailSent notes that a mail has been sent.
	MailSent(ctx context.Context, id int64) error
	// MailsSince counts the mails that were composed, or sent, at t or later.
	MailsSince(ctx context.Context, t time.Time) (int, error)
}

// Errors of a Sender by which the Mailer decides. Any other error of a Sender
// is a mistake in the mail itself.
var (
	// ErrRefused: the server will not take the text of this mail, now or later.
	ErrRefused = errors.New("refused by the mail server")
	// ErrRecipient: the mail is on its way, but not to every recipient.
	ErrRecipient = errors.New("recipient refused by the mail server")
)

// Sender sends mails.
type Sender interface {
	// Send returns nil once the mail is in the server's hands. An error that
	// wraps pipeline.ErrOutage means that no mail can be sent now; then this
	// one may have been taken all the same, if only the reply was lost. The
	// same mail has the same Message-ID each time. Other errors are
	// ErrRefused and ErrRecipient.
	Send(ctx context.Context, mail pipeline.Mail) error
}

// Policy is when and how notices become mails.
type Policy struct {
	Prefix      string        // put before each subject, as "[longhaul PALFA@McGill]"
	DigestDelay time.Duration // notices of a kind that come within it share a mail
	MaxPerHour  int           // mails in any hour; at least 1
	Lock        string        // lock file, so that one mailer works at a time; empty: there is only one
}

// Mailer turns notices into mails. Its passes must not overlap.
type Mailer struct {
	outbox Outbox
	sender Sender
	policy Policy
	now    func() time.Time
	log    *slog.Logger
	// taken are mails that the server has but the outbox does not know of,
	// because it could not be told. They are not sent again by this process.
	taken map[int64]bool
	held  bool // notices are waiting for the hour to pass, and the log says so
}

// New returns a mailer. Times that it writes come from now.
func New(outbox Outbox, sender Sender, policy Policy, now func() time.Time, log *slog.Logger) *Mailer {
	policy.MaxPerHour = max(policy.MaxPerHour, 1)
	return &Mailer{outbox: outbox, sender: sender, policy: policy, now: now, log: log, taken: map[int64]bool{}}
}

// Pass sends what is left from before, then writes and sends one mail for each
// kind of notice that is due. While the mail server does not answer, it
// returns an error that wraps pipeline.ErrOutage, and everything that comes
// meanwhile waits and becomes digests. If another mailer is at work, it does
// nothing.
func (m *Mailer) Pass(ctx context.Context) (err error) {
	if m.policy.Lock != "" {
		lock, err := loop.TryLock(m.policy.Lock)
		if errors.Is(err, loop.ErrLocked) {
			return nil
		} else if err != nil {
			return fmt.Errorf("mailer: %w", err)
		}
		defer func() { err = errors.Join(err, lock.Unlock()) }()
	}
	stuck, err := m.resend(ctx)
	if errors.Is(err, pipeline.ErrOutage) || ctx.Err() != nil {
		return err
	}
	return errors.Join(err, m.compose(ctx, stuck))
}

// resend sends the mails that are written down and not sent, and returns those
// that remain: the server refuses them.
func (m *Mailer) resend(ctx context.Context) (stuck []pipeline.Mail, err error) {
	mails, err := m.outbox.UnsentMails(ctx)
	if err != nil {
		return nil, fmt.Errorf("unsent mails: %w", err)
	}
	var errs []error
	for _, mail := range mails {
		err := m.send(ctx, mail)
		if errors.Is(err, pipeline.ErrOutage) {
			return nil, errors.Join(append(errs, err)...)
		} else if err != nil {
			errs = append(errs, err)
			stuck = append(stuck, mail)
		}
	}
	return stuck, errors.Join(errs...)
}

// compose makes and sends a mail for each kind of notice that is due, as far
// as the hour allows. Mails that are stuck count: they can all go out at once.
func (m *Mailer) compose(ctx context.Context, stuck []pipeline.Mail) error {
	pending, err := m.outbox.PendingNotices(ctx)
	if err != nil {
		return fmt.Errorf("pending notices: %w", err)
	}
	if len(pending) == 0 {
		m.held = false
		return nil
	}
	hourAgo := m.now().Add(-time.Hour)
	left, err := m.outbox.MailsSince(ctx, hourAgo)
	if err != nil {
		return fmt.Errorf("mails of the last hour: %w", err)
	}
	left = m.policy.MaxPerHour - left
	for _, mail := range stuck {
		if mail.CreatedAt.Before(hourAgo) {
			left--
		}
	}
	slices.SortFunc(pending, func(a, b pipeline.PendingNotices) int { return urgency(a.Kind) - urgency(b.Kind) })
	var errs []error
	for _, p := range pending {
		if !m.due(p, left) {
			continue
		}
		if left <= 0 {
			m.hold()
			return errors.Join(errs...)
		}
		switch err := m.mail(ctx, p); {
		case errors.Is(err, pipeline.ErrStale):
			continue // look again in the next pass
		case errors.Is(err, ErrRefused):
			errs = append(errs, err) // the next one may be to the server's liking
		case err != nil:
			return errors.Join(append(errs, err)...)
		}
		left--
	}
	if left > 0 {
		m.held = false
	}
	return errors.Join(errs...)
}

// due reports whether notices of a kind are to be mailed now: when the first
// has waited long enough to be joined by others. A single urgent one goes at
// once, unless half of the hour's mails are used up: then there may be a storm.
func (m *Mailer) due(p pipeline.PendingNotices, left int) bool {
	if m.now().Sub(p.Oldest) >= m.policy.DigestDelay {
		return true
	}
	return p.Count == 1 && p.Kind != pipeline.NoticeFailure && left > m.policy.MaxPerHour/2
}

// hold says once that mails are held back.
func (m *Mailer) hold() {
	if !m.held {
		m.log.Warn("mails are held back until the hour allows more", "max_per_hour", m.policy.MaxPerHour)
	}
	m.held = true
}

// mail writes one mail down and sends it.
func (m *Mailer) mail(ctx context.Context, p pipeline.PendingNotices) error {
	mail, err := m.outbox.ComposeMail(ctx, m.text(p), p.LastID)
	if err != nil {
		return fmt.Errorf("compose mail about %d notices (%s): %w", p.Count, p.Kind, err)
	}
	return m.send(ctx, mail)
}

// send sends a mail and has the outbox note it.
func (m *Mailer) send(ctx context.Context, mail pipeline.Mail) error {
	if !m.taken[mail.ID] {
		crashpoint.Reach(crashpoint.Mail)
		err := m.sender.Send(ctx, mail)
		if errors.Is(err, ErrRefused) {
			err = m.sendBare(ctx, mail, err)
		}
		switch {
		case errors.Is(err, ErrRecipient):
			m.log.Warn("mail sent, but not to all", "mail", mail.ID, "err", err)
		case err != nil:
			return fmt.Errorf("send mail %d: %w", mail.ID, err)
		}
		m.taken[mail.ID] = true
	}
	// The server has it: that must be noted even if the daemon is stopping,
	// or the mail would go out again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := m.outbox.MailSent(ctx, mail.ID); err != nil {
		return fmt.Errorf("note that mail %d was sent: %w", mail.ID, err)
	}
	delete(m.taken, mail.ID)
	m.log.Info("mail sent", "mail", mail.ID, "notices", mail.Count, "subject", mail.Subject)
	return nil
}

// sendBare sends a few plain words instead of a text that the server refuses,
// so that the person hears of it and one mail does not hold up the rest.
func (m *Mailer) sendBare(ctx context.Context, mail pipeline.Mail, refused error) error {
	mail.Subject = subject(fmt.Sprintf("%s mail %d could not be sent as it was", m.policy.Prefix, mail.ID))
	mail.Body = fmt.Sprintf("The mail server refused the text of a mail about %d notices (%s).\n\nTo read them: %s\n",
		mail.Count, mail.Kind, command(mail.Kind))
	crashpoint.Reach(crashpoint.Mail)
	switch err := m.sender.Send(ctx, mail); {
	case err == nil:
		m.log.Warn("mail sent without its text", "mail", mail.ID, "err", refused)
		return nil
	case errors.Is(err, ErrRefused):
		return refused
	default:
		return err
	}
}
