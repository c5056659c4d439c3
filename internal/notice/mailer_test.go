package notice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"longhaul/internal/loop"
	"longhaul/internal/pipeline"
)

var errDown = pipeline.Outage(pipeline.MailServer, errors.New("connection refused"))

func down(pipeline.Mail) error { return errDown }

// rig is a mailer on a clock that the test turns.
type rig struct {
	*Mailer
	clock  time.Time
	outbox *memOutbox
	sender *recorder
	log    bytes.Buffer
}

func newRig(p Policy) *rig {
	r := &rig{clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	now := func() time.Time { return r.clock }
	r.outbox = &memOutbox{now: now}
	r.sender = &recorder{now: now}
	r.Mailer = New(r.outbox, r.sender, p, now, slog.New(slog.NewTextHandler(&r.log, nil)))
	return r
}

func (r *rig) pass(t *testing.T) {
	t.Helper()
	if err := r.Pass(t.Context()); err != nil {
		t.Fatalf("Pass = %v", err)
	}
}

var tenAnHour = Policy{Prefix: "[longhaul PALFA@McGill]", DigestDelay: 5 * time.Minute, MaxPerHour: 10}

func TestWhenNoticesBecomeMails(t *testing.T) {
	t.Parallel()
	const given, failed = pipeline.NoticeTerminalFailure, pipeline.NoticeFailure
	for _, tt := range []struct {
		name  string
		kind  pipeline.NoticeKind
		count int
		after time.Duration
		mails int
	}{
		{"a single thing given up is mailed at once", given, 1, 0, 1},
		{"a single crash is mailed at once", pipeline.NoticeCrash, 1, 0, 1},
		{"a single outage is mailed at once", pipeline.NoticeOutage, 1, 0, 1},
		{"several at once wait for more", given, 3, 0, 0},
		{"several become one digest after the delay", given, 3, 5 * time.Minute, 1},
		{"a failure that will be tried again can wait", failed, 1, 4 * time.Minute, 0},
		{"but not longer than the delay", failed, 1, 5 * time.Minute, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(tenAnHour)
			r.outbox.addMany(tt.kind, tt.count)
			r.clock = r.clock.Add(tt.after)
			r.pass(t)
			if got := len(r.sender.mails); got != tt.mails {
				t.Fatalf("%d mails, want %d", got, tt.mails)
			}
			r.pass(t)
			if got := len(r.sender.mails); got != tt.mails {
				t.Errorf("%d mails after a second pass, want still %d", got, tt.mails)
			}
		})
	}
}

func TestASingleNoticeKeepsItsWords(t *testing.T) {
	t.Parallel()
	r := newRig(tenAnHour)
	r.outbox.add(pipeline.Notice{Kind: pipeline.NoticeTerminalFailure, Subject: "job 7 given up\r\nBcc: x@y", Body: "why\n"})
	r.pass(t)
	m := r.sender.mails[0]
	if want := "[longhaul PALFA@McGill] job 7 given up Bcc: x@y"; m.Subject != want {
		t.Errorf("subject %q, want %q", m.Subject, want)
	}
	if m.Body != "why\n" || m.Count != 1 || m.CreatedAt != r.clock {
		t.Errorf("mail %+v", m)
	}
}

func TestADigestCountsAndShowsTheFirst(t *testing.T) {
	t.Parallel()
	r := newRig(tenAnHour)
	r.outbox.addMany(pipeline.NoticeTerminalFailure, 37)
	r.clock = r.clock.Add(time.Hour)
	r.pass(t)
	m := r.sender.mails[0]
	if want := "[longhaul PALFA@McGill] 37 notices: given up (first: job 1 given up)"; m.Subject != want || m.Count != 37 {
		t.Errorf("subject %q, count %d, want %q", m.Subject, m.Count, want)
	}
	for _, want := range []string{
		"Between 2026-03-01 12:00:00 UTC and 2026-03-01 13:00:00 UTC", "37 notices say that a job or file was given up",
		"1. job 1 given up\n   exit status 1\n   out of memory\n", "20. job 20 given up", "and 17 more", "longhaul failures --full",
	} {
		if !strings.Contains(m.Body, want) {
			t.Errorf("the body lacks %q:\n%s", want, m.Body)
		}
	}
	if strings.Contains(m.Body, "21. ") {
		t.Errorf("more than 20 shown:\n%s", m.Body)
	}
}

func TestKindsHaveMailsOfTheirOwnTheUrgentFirst(t *testing.T) {
	t.Parallel()
	r := newRig(Policy{DigestDelay: time.Minute, MaxPerHour: 2})
	for _, k := range []pipeline.NoticeKind{pipeline.NoticeFailure, pipeline.NoticeTerminalFailure, pipeline.NoticeCrash} {
		r.outbox.addMany(k, 2)
	}
	r.clock = r.clock.Add(time.Minute)
	r.pass(t)
	if len(r.sender.mails) != 2 || r.sender.mails[0].Kind != pipeline.NoticeCrash || r.sender.mails[1].Kind != pipeline.NoticeTerminalFailure {
		t.Fatalf("mails %+v, want one about crashes, then one about what was given up", r.sender.mails)
	}
	r.pass(t)
	if n := strings.Count(r.log.String(), "held back"); n != 1 {
		t.Errorf("the log says %d times that mails are held back, want once:\n%s", n, r.log.String())
	}
	r.clock = r.clock.Add(time.Hour + time.Second)
	r.pass(t)
	if len(r.sender.mails) != 3 || r.outbox.unmailed() != 0 {
		t.Errorf("%d mails, %d notices left, want 3 and 0", len(r.sender.mails), r.outbox.unmailed())
	}
}

func TestAnOutageKeepsEverythingAndComposesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(tenAnHour)
	r.sender.fail(down)
	for i := range 50 {
		r.outbox.addMany(pipeline.NoticeTerminalFailure, 1)
		if err := r.Pass(t.Context()); !errors.Is(err, pipeline.ErrOutage) {
			t.Fatalf("pass %d = %v, want an outage", i, err)
		}
		r.clock = r.clock.Add(time.Minute)
	}
	if n := len(r.outbox.mails); n != 1 {
		t.Errorf("%d mails composed during the outage, want 1", n)
	}
	r.sender.fail(nil)
	r.pass(t)
	if len(r.sender.mails) != 2 || r.sender.carried() != 50 {
		t.Errorf("%d mails about %d notices, want 2 about 50", len(r.sender.mails), r.sender.carried())
	}
}

// The server has the mail, the outbox cannot be told: not sent twice.
func TestATrackerThatCannotBeToldMakesNoSecondMail(t *testing.T) {
	t.Parallel()
	r := newRig(tenAnHour)
	busy := errors.New("database is locked")
	r.outbox.errSent = busy
	r.outbox.addMany(pipeline.NoticeCrash, 1)
	for range 3 {
		if err := r.Pass(t.Context()); !errors.Is(err, busy) {
			t.Fatalf("Pass = %v, want %v", err, busy)
		}
	}
	r.outbox.errSent = nil
	r.pass(t)
	if len(r.sender.mails) != 1 {
		t.Errorf("sent %d times, want once", len(r.sender.mails))
	}
	if left, _ := r.outbox.UnsentMails(t.Context()); len(left) != 0 {
		t.Errorf("%d mails still count as unsent", len(left))
	}
}

// After a crash between the server's reply and the note of it, the same mail
// goes out once more, and no other.
func TestACrashAfterSendingSendsTheSameMailOnceMore(t *testing.T) {
	t.Parallel()
	r := newRig(tenAnHour)
	r.outbox.errSent = errors.New("killed")
	r.outbox.addMany(pipeline.NoticeCrash, 1)
	_ = r.Pass(t.Context())
	r.outbox.errSent = nil
	second := New(r.outbox, r.sender, tenAnHour, r.now, slog.New(slog.DiscardHandler))
	for range 3 {
		if err := second.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if m := r.sender.mails; len(m) != 2 || m[0] != m[1] {
		t.Errorf("sent %+v, want the same mail twice", m)
	}
}

func TestARefusedTextIsReplacedByAFewWords(t *testing.T) {
	t.Parallel()
	r := newRig(tenAnHour)
	r.sender.fail(func(m pipeline.Mail) error {
		if strings.Contains(m.Body, "viagra") {
			return fmt.Errorf("%w: spam", ErrRefused)
		}
		return nil
	})
	r.outbox.add(pipeline.Notice{Kind: pipeline.NoticeTerminalFailure, Subject: "job 1", Body: "viagra"})
	r.pass(t)
	if len(r.sender.mails) != 1 || !strings.Contains(r.sender.mails[0].Body, "longhaul failures --full") {
		t.Errorf("mails %+v, want one that says how to read the notice", r.sender.mails)
	}
}

func TestARefusedMailIsKeptAndHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	r := newRig(tenAnHour)
	r.sender.fail(func(m pipeline.Mail) error {
		if m.ID == 1 {
			return ErrRefused
		}
		return nil
	})
	r.outbox.addMany(pipeline.NoticeCrash, 1)
	r.outbox.addMany(pipeline.NoticeOutage, 1)
	for range 3 {
		if err := r.Pass(t.Context()); !errors.Is(err, ErrRefused) || errors.Is(err, pipeline.ErrOutage) {
			t.Fatalf("Pass = %v, want it refused", err)
		}
	}
	if len(r.sender.mails) != 1 || r.sender.mails[0].ID != 2 {
		t.Errorf("sent %+v, want mail 2 alone", r.sender.mails)
	}
	r.sender.fail(nil)
	r.pass(t)
	if len(r.sender.mails) != 2 {
		t.Errorf("sent %d mails, want the refused one too, later", len(r.sender.mails))
	}
}

func TestARecipientWhoIsRefusedIsLogged(t *testing.T) {
	t.Parallel()
	r := newRig(tenAnHour)
	r.sender.fail(func(pipeline.Mail) error { return fmt.Errorf("%w: x@y", ErrRecipient) })
	r.outbox.addMany(pipeline.NoticeCrash, 1)
	r.pass(t)
	if left, _ := r.outbox.UnsentMails(t.Context()); len(left) != 0 || !strings.Contains(r.log.String(), "not to all") {
		t.Errorf("%d unsent, log:\n%s", len(left), r.log.String())
	}
}

func TestALostRaceIsRunAgain(t *testing.T) {
	t.Parallel()
	r := newRig(tenAnHour)
	r.outbox.stale = 1
	r.outbox.addMany(pipeline.NoticeCrash, 1)
	r.pass(t)
	r.pass(t)
	if len(r.sender.mails) != 1 {
		t.Errorf("%d mails, want 1 from the second pass", len(r.sender.mails))
	}
}

func TestOneMailerWorksAtATime(t *testing.T) {
	t.Parallel()
	p := tenAnHour
	p.Lock = filepath.Join(t.TempDir(), "mailer.lock")
	r := newRig(p)
	r.outbox.addMany(pipeline.NoticeCrash, 1)
	other, err := loop.TryLock(p.Lock)
	if err != nil {
		t.Fatal(err)
	}
	r.pass(t)
	if len(r.sender.mails) != 0 {
		t.Error("mailed while another mailer was at work")
	}
	if err := other.Unlock(); err != nil {
		t.Fatal(err)
	}
	r.pass(t)
	r.pass(t) // the lock was given back
	if len(r.sender.mails) != 1 {
		t.Errorf("%d mails, want 1", len(r.sender.mails))
	}
}

// Ten thousand jobs fail within an hour, one after the other, while the mail
// server is down; the loop drives the mailer as in a daemon.
func TestTenThousandFailuresWithTheServerDownForAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		outbox := &memOutbox{now: time.Now}
		sender := &recorder{now: time.Now}
		sender.fail(down)
		m := New(outbox, sender, tenAnHour, time.Now, slog.New(slog.DiscardHandler))
		l := loop.New(loop.Options{Name: "mailer", Every: time.Minute, Max: 30 * time.Minute, Log: slog.New(slog.DiscardHandler)}, m.Pass)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()

		const failures = 10_000
		for range failures {
			outbox.addMany(pipeline.NoticeTerminalFailure, 1)
			l.Wake()
			time.Sleep(time.Hour / failures)
		}
		sender.fail(nil)
		time.Sleep(3 * time.Hour)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := sender.busiestHour(); n > tenAnHour.MaxPerHour {
			t.Errorf("%d mails in an hour, want at most %d", n, tenAnHour.MaxPerHour)
		}
		if n := sender.carried(); n != failures || outbox.unmailed() != 0 {
			t.Errorf("mails about %d notices, %d left, want all %d", n, outbox.unmailed(), failures)
		}
		if n := len(sender.mails); n > 3 {
			t.Errorf("%d mails, want two or three: one from before it was known, and a digest", n)
		}
		if n := sender.tries; n > 70 {
			t.Errorf("the server was asked %d times in an hour of outage", n)
		}
	})
}

// The same storm with a server that works: the hour's limit holds.
func TestTenThousandFailuresWithinHours(t *testing.T) {
	t.Parallel()
	r := newRig(tenAnHour)
	for range 500 {
		r.outbox.addMany(pipeline.NoticeTerminalFailure, 20)
		r.pass(t)
		r.clock = r.clock.Add(40 * time.Second) // 5.6 hours in all
	}
	for range 60 {
		r.clock = r.clock.Add(2 * time.Minute)
		r.pass(t)
	}
	if n := r.sender.busiestHour(); n > 10 {
		t.Errorf("%d mails in an hour, want at most 10", n)
	}
	if n := r.sender.carried(); n != 10_000 || r.outbox.unmailed() != 0 {
		t.Errorf("mails about %d notices, %d left, want all 10,000", n, r.outbox.unmailed())
	}
}

// Whatever comes and whenever the server is down: never too many mails in an
// hour, and in the end every notice was in exactly one.
func TestAnyHistoryKeepsTheLimitAndTheCounts(t *testing.T) {
	t.Parallel()
	kinds := []pipeline.NoticeKind{pipeline.NoticeFailure, pipeline.NoticeTerminalFailure, pipeline.NoticeCrash, pipeline.NoticeOutage}
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(rt, "limit")
		r := newRig(Policy{DigestDelay: 5 * time.Minute, MaxPerHour: limit})
		written := 0
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 4).Draw(rt, "what") {
			case 0:
				n := rapid.IntRange(1, 30).Draw(rt, "notices")
				r.outbox.addMany(rapid.SampledFrom(kinds).Draw(rt, "kind"), n)
				written += n
			case 1:
				r.sender.fail(rapid.SampledFrom([]func(pipeline.Mail) error{nil, down, func(pipeline.Mail) error { return ErrRefused }}).Draw(rt, "server"))
			case 2: // a crash: a new mailer on the old outbox
				r.Mailer = New(r.outbox, r.sender, r.policy, r.now, slog.New(slog.DiscardHandler))
			}
			r.clock = r.clock.Add(time.Duration(rapid.IntRange(1, 40).Draw(rt, "minutes")) * time.Minute)
			_ = r.Pass(context.Background()) // errors are part of the game
		}
		r.sender.fail(nil)
		for range 200 {
			r.clock = r.clock.Add(10 * time.Minute)
			if err := r.Pass(context.Background()); err != nil {
				rt.Fatal(err)
			}
		}
		if n := r.sender.busiestHour(); n > limit {
			rt.Errorf("%d mails in an hour, want at most %d", n, limit)
		}
		if n := r.sender.carried(); n != written || r.outbox.unmailed() != 0 {
			rt.Errorf("mails about %d notices, %d left, want %d", n, r.outbox.unmailed(), written)
		}
	})
}
