package simulation

import (
	"context"
	"fmt"
	"time"

	"longhaul/internal/notice"
	"longhaul/internal/pipeline"
)

// post is the mail server, and the mailbox of the person in charge.
type post struct {
	s      *sim
	mails  map[int64]*letter
	recent []delivery
	epoch  int // raised when the clock is set
}

// letter is one mail and what became of it.
type letter struct {
	pipeline.Mail
	delivered int
	// mishaps is how often its sender may not know that it was delivered.
	mishaps int
}

type delivery struct {
	id    int64
	at    time.Time
	epoch int
}

func newPost(s *sim) *post { return &post{s: s, mails: make(map[int64]*letter)} }

// jumped begins a new count of the mails of an hour, which the site measures by
// its own clock.
func (p *post) jumped() { p.epoch++ }

// deliver puts a mail into the mailbox.
func (p *post) deliver(m pipeline.Mail) *letter {
	l := p.mails[m.ID]
	if l == nil {
		l = &letter{Mail: m}
		p.mails[m.ID] = l
	}
	l.delivered++
	p.s.tracef("mail %d is delivered, with %d notices (%s)", m.ID, m.Count, m.Kind)
	if l.delivered > 1+l.mishaps {
		p.s.breaks("mail %d was delivered %d times, though only %d times its sender could not know", m.ID, l.delivered, l.mishaps)
	}
	p.recent = append(p.recent, delivery{m.ID, p.s.at, p.epoch})
	p.count()
	return l
}

// count checks how many mails came within an hour. One that was delivered
// twice is one.
func (p *post) count() {
	since := p.s.at.Add(-time.Hour)
	within := make(map[int64]bool)
	keep := p.recent[:0]
	for _, d := range p.recent {
		if d.at.After(since) && d.epoch == p.epoch {
			within[d.id] = true
			keep = append(keep, d)
		}
	}
	p.recent = keep
	if most := p.s.cfg.Email.MaxPerHour; len(within) > most {
		p.s.breaks("%d mails within an hour, max_per_hour is %d", len(within), most)
	}
}

// sender is the mail server as the mailer sees it.
type sender struct {
	*post
	d *daemon
}

var _ notice.Sender = (*sender)(nil)

// Send implements notice.Sender. A mail has one mishap at most.
func (f *sender) Send(_ context.Context, m pipeline.Mail) error {
	s := f.s
	if err := s.before(f.d, pipeline.MailServer, "mail"); err != nil {
		return err
	}
	if s.chance(s.rates.refused) {
		s.tracef("the mail server refuses mail %d", m.ID)
		return fmt.Errorf("%w: %w: 554 spam", notice.ErrRefused, errInjected)
	}
	l := f.deliver(m)
	if l.mishaps > 0 {
		f.d.doomed = 0
		return nil
	}
	l.mishaps = 1 // unless the next lines and the commit after them go well
	if err := s.afterwards(f.d, pipeline.MailServer, "mail"); err != nil {
		return err
	}
	if f.d.doomed == 0 {
		l.mishaps = 0
	}
	if s.chance(s.rates.refused) {
		return fmt.Errorf("%w: 550 no such user", notice.ErrRecipient)
	}
	return nil
}
