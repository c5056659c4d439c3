package jobtracker_test

import (
	"errors"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/schema"
)

func TestATrackerOnAServerIsMadeOnce(t *testing.T) {
	t.Parallel()
	db := jobtrackertest.EmptySchema(t, shared(t).address())
	_, err := jobtracker.Open(t.Context(), db, jobtracker.Options{Actor: "test"})
	if !errors.Is(err, pipeline.ErrFatal) || !strings.Contains(err.Error(), "longhaul init") {
		t.Errorf("without tables: %v", err)
	}
	var wg sync.WaitGroup
	made := make([]bool, 4)
	for i := range made {
		wg.Go(func() {
			var err error
			if made[i], err = jobtracker.Create(t.Context(), db); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n := 0
	for _, m := range made {
		if m {
			n++
		}
	}
	if n != 1 {
		t.Errorf("it was made %d times", n)
	}
	s, err := jobtracker.Open(t.Context(), db, jobtracker.Options{Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	jobtrackertest.MakeJob(t, s, pipeline.Uploaded)
	jobtrackertest.AssertInvariants(t, s)
}

func TestOpeningOnAServerSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	server := shared(t)
	in := func(change func(*url.URL, url.Values)) string {
		u, err := url.Parse(server.address())
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		change(u, q)
		u.RawQuery = q.Encode()
		return u.String()
	}
	occupied := jobtrackertest.EmptySchema(t, server.address())
	s := jobtrackertest.OpenOn(t, server.address(), jobtracker.Options{Actor: "test"})
	if _, err := s.Writer().ExecContext(t.Context(), `UPDATE tracker SET version = 99`); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		db   string
		kind error
		says string
	}{
		"no such database": {in(func(u *url.URL, _ url.Values) { u.Path = "/nowhere" }), pipeline.ErrFatal, "createdb"},
		"wrong password": {in(func(u *url.URL, q url.Values) {
			u.User = url.UserPassword("longhaul", "wrong-secret")
		}), pipeline.ErrOutage, "password"},
		"nobody there":   {in(func(u *url.URL, _ url.Values) { u.Host = "127.0.0.1:1" }), pipeline.ErrOutage, "refused"},
		"no tables":      {occupied, pipeline.ErrFatal, "longhaul init"},
		"a newer one":    {s.Path(), pipeline.ErrFatal, "newer program"},
		"no address":     {"postgres://%", pipeline.ErrFatal, "cannot be read"},
		"unknown option": {in(func(_ *url.URL, q url.Values) { q.Set("sslmode", "perhaps") }), pipeline.ErrFatal, "sslmode"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := jobtracker.Open(t.Context(), tt.db, jobtracker.Options{Actor: "test"})
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Open = %v, want %v and a word of %q", err, tt.kind, tt.says)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestAServersTrackerIsMigrated(t *testing.T) {
	t.Parallel()
	s := onPostgres.open(t)
	first, err := fs.ReadFile(schema.JobTracker, "jobtracker/postgres/001_initial.sql")
	if err != nil {
		t.Fatal(err)
	}
	next := fstest.MapFS{
		"jobtracker/postgres/001_initial.sql": {Data: first},
		"jobtracker/postgres/002_next.sql":    {Data: []byte(`ALTER TABLE jobs ADD COLUMN colour text; UPDATE jobs SET colour = 'red'`)},
	}
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() { _, _, _, errs[i] = jobtracker.MigrateWith(t.Context(), s.Path(), next) })
	}
	wg.Wait()
	for _, err := range errs { // those who came late find it done, or moved under their hands
		if err != nil && !errors.Is(err, pipeline.ErrStale) {
			t.Error(err)
		}
	}
	if from, to, backup, err := jobtracker.MigrateWith(t.Context(), s.Path(), next); from != 2 || to != 2 || backup != "" || err != nil {
		t.Errorf("migrated again: from %d to %d, backup %q, %v", from, to, backup, err)
	}
	// A daemon that was running meanwhile changes nothing more.
	if err := s.Note(t.Context(), pipeline.EntitySystem, 0, "x"); !errors.Is(err, pipeline.ErrFatal) {
		t.Errorf("a change by an old program: %v", err)
	}
}

func TestWhatOnlyAFileCanDoIsRefusedOnAServer(t *testing.T) {
	t.Parallel()
	s := onPostgres.open(t)
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(t.Context(), path); !errors.Is(err, jobtracker.ErrServer) || !strings.Contains(err.Error(), "pg_dump") {
		t.Errorf("Backup = %v", err)
	}
	if _, err := jobtracker.Restore(t.Context(), s.Path(), path, jobtracker.Options{}); !errors.Is(err, jobtracker.ErrServer) {
		t.Errorf("Restore = %v", err)
	}
	if _, err := jobtracker.Examine(t.Context(), s.Path()); !errors.Is(err, jobtracker.ErrServer) {
		t.Errorf("Examine = %v", err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check = %v", err)
	}
	if problems, err := s.Problems(t.Context()); len(problems) > 0 || err != nil {
		t.Errorf("Problems = %q, %v", problems, err)
	}
	if breaches, err := s.Breaches(t.Context()); len(breaches) > 0 || err != nil {
		t.Errorf("Breaches = %v, %v", breaches, err)
	}
}

// TestTextThatNoServerTakesIsKeptAsFarAsItGoes: what a job says last is not
// always text, and must not keep the job from failing.
func TestTextThatNoServerTakesIsKeptAsFarAsItGoes(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		s := on.open(t)
		sub := jobtrackertest.MakeSubmit(t, s, pipeline.Running)
		if err := s.SubmitFailed(t.Context(), sub, jobtracker.End{Details: "core \x00dumped \xff\xfe at é"}); err != nil {
			t.Fatal(err)
		}
		sub, err := s.Submit(t.Context(), sub.ID)
		if err != nil || !strings.HasPrefix(sub.Details, "core ") || !strings.HasSuffix(sub.Details, " at é") {
			t.Errorf("it says %q, %v", sub.Details, err)
		}
	})
}

func TestACommitWhoseReplyIsLostIsSettled(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault   fault
		happens bool
	}{
		"before the server has heard of it":                         {cutBefore, false},
		"before the server has heard of it, and it does not notice": {cutBeforeDeaf, false},
		"after it was done":                                         {cutAfter, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, shared(t))
			s := jobtrackertest.OpenOn(t, through(shared(t).address(), p), jobtracker.Options{Actor: "test"})
			p.set(tt.fault)
			id, err := s.BeginRequest(t.Context(), 1, 4, "mock")
			if tt.happens != (err == nil) || err != nil && !errors.Is(err, pipeline.ErrOutage) {
				t.Errorf("BeginRequest = %d, %v", id, err)
			}
			all, err := s.WaitingRequests(t.Context())
			if happened := len(all) == 1; err != nil || happened != tt.happens {
				t.Errorf("%d requests are there, %v", len(all), err)
			}
			if _, err := s.BeginRequest(t.Context(), 1, 4, "mock"); err != nil {
				t.Errorf("the next one: %v", err)
			}
			jobtrackertest.AssertInvariants(t, s)
		})
	}
}

// TestACommitThatNobodyCanTellOfIsTheEnd: the daemon starts again then, and looks.
func TestACommitThatNobodyCanTellOfIsTheEnd(t *testing.T) {
	t.Parallel()
	p := newProxy(t, shared(t))
	db := jobtrackertest.NewSchema(t, shared(t).address())
	s, err := jobtracker.Open(t.Context(), through(db, p), jobtracker.Hasty(jobtracker.Options{Actor: "test"}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p.set(cutForGood)
	if _, err := s.BeginRequest(t.Context(), 1, 4, "mock"); !errors.Is(err, pipeline.ErrFatal) {
		t.Errorf("BeginRequest = %v", err)
	}
}

func TestAServerThatStartsAgainIsAnOutage(t *testing.T) {
	t.Parallel()
	server := own(t)
	s := jobtrackertest.OpenOn(t, server.address(), jobtracker.Options{Actor: "test"})
	if err := server.Crash(); err != nil {
		t.Fatal(err)
	}
	_, err := s.BeginRequest(t.Context(), 1, 4, "mock")
	var out *pipeline.OutageError
	if !errors.As(err, &out) || out.System != pipeline.JobTracker {
		t.Errorf("a change: %v", err)
	}
	if _, err := s.WaitingRequests(t.Context()); !errors.Is(err, pipeline.ErrOutage) {
		t.Errorf("a look: %v", err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.BeginRequest(t.Context(), 1, 4, "mock"); err != nil {
		t.Errorf("a change after it: %v", err)
	}
}
