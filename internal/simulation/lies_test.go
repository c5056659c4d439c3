package simulation

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"longhaul/internal/commondb"
	"longhaul/internal/notice"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/results"
	"longhaul/internal/upload"
)

// lie is a promise that is broken on purpose, to see that it is noticed.
type lie struct {
	manager  func(queue.Manager) queue.Manager
	database func(upload.Database) upload.Database
	outbox   func(notice.Outbox) notice.Outbox
	policy   func(notice.Policy) notice.Policy
	free     func(int64) int64
	rates    func(*rates) // what goes wrong more often, so that it shows soon
	// meddle is called after a pass of a daemon.
	meddle func(s *sim, d *daemon)
}

// twice is a batch system that takes every submission twice.
type twice struct{ queue.Manager }

func (t twice) Submit(ctx context.Context, spec queue.Spec) (string, error) {
	id, err := t.Manager.Submit(ctx, spec)
	if err == nil {
		_, _ = t.Manager.Submit(ctx, spec)
	}
	return id, err
}

// strict takes an outage of the batch system for its word about the job.
type strict struct{ queue.Manager }

func (t strict) Submit(ctx context.Context, spec queue.Spec) (string, error) {
	id, err := t.Manager.Submit(ctx, spec)
	if errors.Is(err, pipeline.ErrOutage) {
		err = queue.ErrRejected
	}
	return id, err
}

// hollow says that everything is committed.
type hollow struct{}

func (hollow) Upload(context.Context, commondb.Meta, []results.Record) (commondb.Receipt, error) {
	return commondb.Receipt{Rows: 1}, nil
}

// forgetful does not know what it has.
type forgetful struct{ *dbFront }

func (f forgetful) Upload(ctx context.Context, m commondb.Meta, records []results.Record) (commondb.Receipt, error) {
	clear(f.uploads)
	clear(f.work)
	return f.dbFront.Upload(ctx, m, records)
}

// eager does not write down that a mail was sent.
type eager struct{ notice.Outbox }

func (eager) MailSent(context.Context, int64) error { return nil }

// unlink deletes the raw data of jobs that are in the queue.
func unlink(s *sim, d *daemon) {
	for _, r := range s.farm.runs {
		if d.kind == jobpooler && !r.ended {
			_ = os.Remove(r.inputs[0])
		}
	}
}

func TestABrokenPromiseIsNoticed(t *testing.T) {
	for _, tt := range []struct {
		name string
		lie  lie
		want string // in what is reported
	}{
		{"a common database that says committed when it has not", lie{database: func(upload.Database) upload.Database { return hollow{} }},
			"not in the common database"},
		{"a common database that does not recognise an upload", lie{database: func(db upload.Database) upload.Database { return forgetful{db.(*dbFront)} },
			rates: func(r *rates) { r.lostReply = 0.2 }},
			"is in the common database 2 times"},
		{"a queue manager that takes a job twice", lie{manager: func(m queue.Manager) queue.Manager { return twice{m} }},
			"in the queue twice"},
		{"an outage of the queue manager that uses up an attempt", lie{manager: func(m queue.Manager) queue.Manager { return strict{m} },
			rates: func(r *rates) { r.hiccup = 0.1 }},
			"though nothing was wrong"},
		{"raw data that is deleted before the upload", lie{meddle: unlink}, "is gone, and"},
		{"a mail that is sent again and again", lie{outbox: func(o notice.Outbox) notice.Outbox { return eager{o} }}, "was delivered"},
		{"a mailer that knows no limit", lie{policy: func(p notice.Policy) notice.Policy { p.MaxPerHour, p.DigestDelay = 1000, 0; return p },
			rates: func(r *rates) { r.badJob, r.badTransfer, r.refused, r.outages = 0.8, 0.5, 0.2, 4 }},
			"mails within an hour"},
		{"a disk that is fuller than it says", lie{free: func(n int64) int64 { return n + 3000 },
			rates: func(r *rates) { r.weather = 4 }}, "min_free_space is"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(40) {
				switch broken := oneRun(t, seed+1, 20, tt.lie, nil).broken; {
				case strings.Contains(broken, tt.want):
					return
				case broken != "":
					t.Fatalf("seed %d reports %q, want something about %q", seed+1, broken, tt.want)
				}
			}
			t.Fatal("nobody noticed in 40 runs")
		})
	}
}
