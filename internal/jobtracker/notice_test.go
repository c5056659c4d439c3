package jobtracker_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

func TestAMailTakesItsNoticesAndNoOthers(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		clock := jobtrackertest.NewClock()
		s := on.openWith(t, jobtracker.Options{Actor: "test", Now: clock.Now})
		ctx := t.Context()
		notify := func(kind pipeline.NoticeKind, n int) {
			t.Helper()
			for i := range n {
				if err := s.Notify(ctx, pipeline.Notice{Kind: kind, Subject: fmt.Sprint(kind, " ", i), Body: "body"}); err != nil {
					t.Fatal(err)
				}
				clock.Advance(time.Second)
			}
		}
		pending := func() []pipeline.PendingNotices {
			t.Helper()
			p, err := s.PendingNotices(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		began := clock.Now()
		notify(pipeline.NoticeFailure, 25)
		notify(pipeline.NoticeCrash, 1)
		p := pending()
		if len(p) != 2 || p[0].Kind != pipeline.NoticeCrash || p[0].Count != 1 || p[1].Count != 25 {
			t.Fatalf("pending are %+v, want 1 crash and 25 failures", p)
		}
		failures := p[1]
		if !failures.Oldest.Equal(began) || len(failures.First) != 20 || failures.First[0].Subject != "failure 0" || failures.First[0].Body != "body" {
			t.Errorf("pending failures are from %v, first %d, %+v", failures.Oldest, len(failures.First), failures.First[0])
		}
		notify(pipeline.NoticeFailure, 3) // after the mail's text was made

		if _, err := s.ComposeMail(ctx, pipeline.Mail{Kind: pipeline.NoticeFailure, Count: 24}, failures.LastID); !errors.Is(err, pipeline.ErrStale) {
			t.Errorf("a mail with a wrong count: %v, want %v", err, pipeline.ErrStale)
		}
		m, err := s.ComposeMail(ctx, pipeline.Mail{Kind: pipeline.NoticeFailure, Subject: "25 failures", Body: "text", Count: 25}, failures.LastID)
		if err != nil || m.ID == 0 || !m.CreatedAt.Equal(clock.Now()) {
			t.Fatalf("composed %+v, %v", m, err)
		}
		if _, err := s.ComposeMail(ctx, pipeline.Mail{Kind: pipeline.NoticeFailure, Count: 25}, failures.LastID); !errors.Is(err, pipeline.ErrStale) {
			t.Errorf("the same mail again: %v, want %v", err, pipeline.ErrStale)
		}
		if p := pending(); len(p) != 2 || p[0].Count != 1 || p[1].Count != 3 || p[1].First[0].Subject != "failure 0" {
			t.Errorf("pending after the mail are %+v, want 1 crash and 3 failures", p)
		}

		unsent, err := s.UnsentMails(ctx)
		if err != nil || len(unsent) != 1 || unsent[0] != m {
			t.Errorf("unsent are %+v, %v, want only %+v", unsent, err, m)
		}
		if err := s.MailSent(ctx, m.ID); err != nil {
			t.Fatal(err)
		}
		sent := clock.Now()
		clock.Advance(time.Minute)
		if err := s.MailSent(ctx, m.ID); err != nil { // again, after a restart: the first time stays
			t.Fatal(err)
		}
		if all, err := s.Mails(ctx, 5); err != nil || len(all) != 1 || !all[0].SentAt.Equal(sent) {
			t.Errorf("mails are %+v, %v, want one sent at %v", all, err, sent)
		}
		if unsent, _ := s.UnsentMails(ctx); len(unsent) != 0 {
			t.Errorf("unsent are %+v, want none", unsent)
		}
		for since, want := range map[time.Time]int{m.CreatedAt: 1, m.CreatedAt.Add(time.Millisecond): 0} {
			if n, err := s.MailsSince(ctx, since); err != nil || n != want {
				t.Errorf("%d mails since %v, %v, want %d", n, since, err, want)
			}
		}
		jobtrackertest.AssertInvariants(t, s)
	})
}

func TestNoticesThatNobodyWantsAreNotWritten(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.openWith(t, jobtracker.Options{
			Actor: "test",
			Wants: func(k pipeline.NoticeKind) bool { return k != pipeline.NoticeFailure },
		})
		for _, kind := range []pipeline.NoticeKind{pipeline.NoticeFailure, pipeline.NoticeCrash} {
			if err := s.Notify(t.Context(), pipeline.Notice{Kind: kind, Subject: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		if p, err := s.PendingNotices(t.Context()); err != nil || len(p) != 1 || p[0].Kind != pipeline.NoticeCrash {
			t.Errorf("pending are %+v, %v, want only the crash", p, err)
		}
	})
}

func TestANoticeBelongsToItsChange(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		ctx := t.Context()
		j := jobtrackertest.MakeJob(t, s, pipeline.Failed)
		n := pipeline.Notice{Kind: pipeline.NoticeTerminalFailure, Subject: "job given up"}
		for want := range 2 { // the second time the job has moved on, and nobody is told again
			if err := s.GiveUpJob(ctx, j.ID, "", false, n); (want == 0) != (err == nil) {
				t.Errorf("give up: %v", err)
			}
			if p, _ := s.PendingNotices(ctx); len(p) != 1 || p[0].Count != 1 {
				t.Errorf("pending are %+v, want one notice", p)
			}
		}
	})
}

func TestAnOutageIsToldOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		clock := jobtrackertest.NewClock()
		downloader := on.openWith(t, jobtracker.Options{Actor: "downloader", Now: clock.Now})
		uploader := jobtrackertest.Another(t, downloader, jobtracker.Options{Actor: "uploader", Now: clock.Now})
		ctx := t.Context()
		n := pipeline.Notice{Kind: pipeline.NoticeOutage, Subject: "file server does not answer"}
		for range 2 { // the second time after a restart
			if err := downloader.OutageBegan(ctx, pipeline.FileServer, "connection refused", n); err != nil {
				t.Fatal(err)
			}
			clock.Advance(time.Hour)
		}
		if err := uploader.OutageBegan(ctx, pipeline.CommonDatabase, "locked", pipeline.Notice{}); err != nil {
			t.Fatal(err)
		}
		if err := uploader.OutageOver(ctx, pipeline.FileServer); err != nil { // not its own
			t.Fatal(err)
		}
		all, err := downloader.Outages(ctx)
		if err != nil || len(all) != 2 || all[0].System != pipeline.FileServer || all[0].Daemon != "downloader" ||
			!all[0].Since.Equal(clock.Now().Add(-2*time.Hour)) || all[0].Error != "connection refused" {
			t.Errorf("outages are %+v, %v", all, err)
		}
		if p, _ := downloader.PendingNotices(ctx); len(p) != 1 || p[0].Count != 1 {
			t.Errorf("pending are %+v, want one notice", p)
		}
		for range 2 {
			if err := downloader.OutageOver(ctx, pipeline.FileServer); err != nil {
				t.Fatal(err)
			}
		}
		if all, _ := downloader.Outages(ctx); len(all) != 1 || all[0].System != pipeline.CommonDatabase {
			t.Errorf("outages are %+v, want the uploader's", all)
		}
		history, err := downloader.Events(ctx, pipeline.EntitySystem, 0)
		if err != nil || len(history) != 3 || history[2].Note != "file server is back after 2h0m0s" {
			t.Errorf("the history is %+v, %v", history, err)
		}
		jobtrackertest.AssertInvariants(t, downloader)
	})
}
