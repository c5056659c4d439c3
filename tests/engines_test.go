package tests

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/tests/engines"
)

// engineDir is a directory that servers of other users can reach.
func engineDir(t *testing.T) string {
	t.Helper()
	dir, err := engines.Dir("longhaul-engine-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// stopped ends a server when the test ends.
func stopped(t *testing.T, stop func() error) {
	t.Helper()
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func startSlurm(t *testing.T) *engines.Slurm {
	t.Helper()
	engines.NeedRoot(t)
	engines.Need(t, engines.SlurmPrograms()...)
	s, err := engines.NewSlurm(t.Context(), engineDir(t), engines.SlurmOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stopped(t, s.Stop)
	return s
}

// startPostgres returns the server and what its clients need in their environment.
func startPostgres(t *testing.T) (*engines.Postgres, []string) {
	t.Helper()
	engines.Need(t, engines.PostgresPrograms()...)
	p, err := engines.NewPostgres(t.Context(), engineDir(t))
	if err != nil {
		t.Fatal(err)
	}
	stopped(t, p.Stop)
	return p, []string{
		"PGHOST=" + p.Host, fmt.Sprintf("PGPORT=%d", p.Port),
		"PGUSER=" + p.User, "PGPASSWORD=" + p.Password, "PGDATABASE=" + p.Database,
	}
}

// plannedFailures are the submits that the demo makes fail, at two beams: one
// job fails once, and one always.
const plannedFailures = 4

// A Slurm whose controller is away for a minute and a PostgreSQL that is
// restarted, both in the middle of the survey, cost nothing but time.
func TestDemoOnSlurmAndPostgresWithBothAwayForAWhile(t *testing.T) {
	t.Parallel()
	slurm := startSlurm(t)
	postgres, env := startPostgres(t)
	away := make(chan error, 1)
	var once sync.Once
	r := runDemoIn(t, append(env, slurm.Env()...), func(line string) {
		if strings.Contains(line, " processed: ") {
			once.Do(func() {
				go func() { away <- comeAndGo(slurm, postgres) }()
			})
		}
	}, "--beams", "3", "--queue", "slurm", "--commondb", "postgres")
	if err := <-away; err != nil {
		t.Fatal(err)
	}
	if n := r.Submits[pipeline.ProcessingFailed] + r.Submits[pipeline.SubmissionFailed]; n != plannedFailures {
		t.Errorf("%d submits failed, want the %d that were planned: %v", n, plannedFailures, r.Submits)
	}
	if got := r.CommonDB["headers"]; got != 5 {
		t.Errorf("%d headers in the common database, want 5", got)
	}
}

// comeAndGo takes the controller away for a minute, and the database for a moment.
func comeAndGo(s *engines.Slurm, p *engines.Postgres) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	// A controller that is stopped while it starts a job may hold that job for ever.
	if err := engines.Until(ctx, "a moment in which Slurm starts nothing", func() error {
		out, err := s.Ask(ctx, "squeue", "--noheader", "--format=%T")
		if err == nil && strings.Trim(out, "RUNIG\n ") != "" {
			err = fmt.Errorf("jobs are %q", out)
		}
		return err
	}); err != nil {
		return err
	}
	if err := s.StopController(); err != nil {
		return err
	}
	minute := time.NewTimer(time.Minute)
	defer minute.Stop()
	if err := p.Restart(ctx); err != nil {
		return err
	}
	<-minute.C
	return s.StartController(ctx)
}

func TestDemoOnGridEngineAndMariaDB(t *testing.T) {
	t.Parallel()
	engines.NeedRoot(t)
	engines.Need(t, engines.GridEnginePrograms()...)
	engines.Need(t, engines.MariaDBPrograms()...)
	g, err := engines.NewGridEngine(t.Context(), engineDir(t), engines.GridEngineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stopped(t, g.Stop)
	m, err := engines.NewMariaDB(t.Context(), engineDir(t))
	if err != nil {
		t.Fatal(err)
	}
	stopped(t, m.Stop)
	env := append(g.Env(),
		"MYSQL_HOST="+m.Host, fmt.Sprintf("MYSQL_TCP_PORT=%d", m.Port),
		"MYSQL_USER="+m.User, "MYSQL_PWD="+m.Password, "MYSQL_DATABASE="+m.Database)
	r := runDemoIn(t, env, nil, "--beams", "2", "--queue", "gridengine", "--commondb", "mysql")
	if got := r.CommonDB["headers"]; got != 4 {
		t.Errorf("%d headers in the common database, want 4", got)
	}
}
