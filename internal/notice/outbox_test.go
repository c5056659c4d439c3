package notice

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"longhaul/internal/pipeline"
)

// memOutbox is an Outbox in memory, as strict as the contract.
type memOutbox struct {
	now func() time.Time

	mu      sync.Mutex
	notices []waiting
	mails   []pipeline.Mail
	errSent error // of MailSent
	stale   int   // ComposeMail loses so many races
}

// waiting is a notice in the outbox; its id is its place, from 1.
type waiting struct {
	pipeline.Notice
	at   time.Time
	mail int64 // that carries it
}

var _ Outbox = (*memOutbox)(nil)

func (o *memOutbox) add(n pipeline.Notice) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notices = append(o.notices, waiting{Notice: n, at: o.now()})
}

// addMany adds numbered notices of one kind.
func (o *memOutbox) addMany(kind pipeline.NoticeKind, n int) {
	for i := range n {
		o.add(pipeline.Notice{Kind: kind, Subject: fmt.Sprintf("job %d given up", i+1), Body: "exit status 1\nout of memory\n"})
	}
}

func (o *memOutbox) PendingNotices(context.Context) ([]pipeline.PendingNotices, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []pipeline.PendingNotices
	for i, n := range o.notices {
		if n.mail != 0 {
			continue
		}
		k := slices.IndexFunc(all, func(p pipeline.PendingNotices) bool { return p.Kind == n.Kind })
		if k < 0 {
			k = len(all)
			all = append(all, pipeline.PendingNotices{Kind: n.Kind, Oldest: n.at})
		}
		p := &all[k]
		p.Count++
		p.LastID = int64(i + 1)
		if len(p.First) < 20 {
			p.First = append(p.First, n.Notice)
		}
	}
	return all, nil
}

func (o *memOutbox) ComposeMail(_ context.Context, mail pipeline.Mail, upTo int64) (pipeline.Mail, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stale > 0 {
		o.stale--
		return pipeline.Mail{}, pipeline.ErrStale
	}
	mail.ID = int64(len(o.mails) + 1)
	var mine []int
	for i, n := range o.notices {
		if n.mail == 0 && n.Kind == mail.Kind && int64(i+1) <= upTo {
			mine = append(mine, i)
		}
	}
	if len(mine) != mail.Count {
		return pipeline.Mail{}, pipeline.ErrStale
	}
	for _, i := range mine {
		o.notices[i].mail = mail.ID
	}
	o.mails = append(o.mails, mail)
	return mail, nil
}

func (o *memOutbox) UnsentMails(context.Context) ([]pipeline.Mail, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(o.mails), func(m pipeline.Mail) bool { return !m.SentAt.IsZero() }), nil
}

func (o *memOutbox) MailSent(_ context.Context, id int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.errSent != nil {
		return o.errSent
	}
	o.mails[id-1].SentAt = o.now()
	return nil
}

func (o *memOutbox) MailsSince(_ context.Context, t time.Time) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, m := range o.mails {
		if !m.CreatedAt.Before(t) || !m.SentAt.IsZero() && !m.SentAt.Before(t) {
			n++
		}
	}
	return n, nil
}

// unmailed counts the notices that no mail carries.
func (o *memOutbox) unmailed() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, w := range o.notices {
		if w.mail == 0 {
			n++
		}
	}
	return n
}

// recorder is a Sender that keeps what it is given, or fails.
type recorder struct {
	now func() time.Time

	mu    sync.Mutex
	err   func(pipeline.Mail) error // nil: all is well
	tries int
	mails []pipeline.Mail
	at    []time.Time
}

var _ Sender = (*recorder)(nil)

func (r *recorder) Send(_ context.Context, m pipeline.Mail) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	if r.err != nil {
		if err := r.err(m); err != nil {
			return err
		}
	}
	r.mails = append(r.mails, m)
	r.at = append(r.at, r.now())
	return nil
}

func (r *recorder) fail(err func(pipeline.Mail) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// busiestHour is the greatest number of mails in any hour.
func (r *recorder) busiestHour() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	most := 0
	for i, end := range r.at {
		n := 0
		for _, at := range r.at[:i+1] {
			if end.Sub(at) < time.Hour {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// carried is the number of notices in all mails that were sent.
func (r *recorder) carried() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, m := range r.mails {
		n += m.Count
	}
	return n
}
