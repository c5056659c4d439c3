package jobtracker_test

import (
	"context"
	"database/sql"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
)

// history are the tables whose rows outlive their work.
var history = []string{
	"requests", "files", "download_attempts", "jobs", "job_files", "job_submits", "events", "notices", "mails",
}

// inHand are partial indexes that hold nothing but work: scanning them costs
// what the work costs.
var inHand = []string{"files_ungrouped", "files_to_delete", "notices_pending", "mails_unsent", "jobs_site_faults"}

// TestEveryTransition calls all methods that change a status or that a pass needs,
// and records their SQL.
func TestEveryTransition(t *testing.T) {
	everywhere(t, func(t *testing.T, on backend) {
		rec := &recorder{seen: make(map[string][]any)}
		s := on.openWith(t, jobtracker.Between(jobtracker.Options{Actor: "jobpooler"}, rec.between))
		makeAll(t, s)
		operatorActs(t, s)
		otherWork(t, s)
		breakerWork(t, s)
		t.Run("together they take every transition", func(t *testing.T) { everyTransition(t, s) })
		t.Run("no SQL is forgotten", func(t *testing.T) { allRecorded(t, rec.statements()) })
		if on == onPostgres {
			t.Run("every table has the indexes that a pass needs", func(t *testing.T) { indexesServe(t, s, rec.statements()) })
			return
		}
		t.Run("no pass scans history", func(t *testing.T) { noScans(t, s, rec.statements()) })
	})
}

// indexesServe asks PostgreSQL how it would run the statements if the tables were
// large, and reading a whole one very dear: what is read wholly all the same has
// no index that serves. What it does with a real table and its statistics it
// decides there.
func indexesServe(t *testing.T, s *jobtracker.Store, recorded map[string][]any) {
	t.Helper()
	tx, err := s.Writer().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	// Each page holds a million rows, for all that the planner knows.
	if _, err := tx.ExecContext(t.Context(), `UPDATE pg_class SET relpages = 1, reltuples = 1e6
		WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace`); err != nil {
		t.Fatal(err)
	}
	for _, dear := range []string{"seqscan", "hashjoin", "mergejoin"} { // as what reads whole tables is
		if _, err := tx.ExecContext(t.Context(), `SET LOCAL enable_`+dear+` = off`); err != nil {
			t.Fatal(err)
		}
	}
	verb := regexp.MustCompile(`^\s*(SELECT|UPDATE|DELETE|INSERT)\b`)
	scan := regexp.MustCompile(`Seq Scan on (\w+)`)
	whole := regexp.MustCompile(`Index (?:Only )?Scan (?:Backward )?using (\w+) on (\w+)[^\n]*\n(.*)`)
	read := 0
	for query, args := range recorded {
		if !verb.MatchString(query) || strings.Contains(query, "leases") {
			continue
		}
		read++
		plan := strings.Join(explain(t, tx, query, args), "\n")
		for _, found := range scan.FindAllStringSubmatch(plan, -1) {
			if slices.Contains(history, found[1]) {
				t.Errorf("a pass reads all of %s:\n%s\n%s", found[1], query, plan)
			}
		}
		// An index that is read from end to end, with no condition and no limit, is no better.
		for _, found := range whole.FindAllStringSubmatch(plan+"\n", -1) {
			ends := strings.Contains(plan, "Limit") || slices.Contains(inHand, found[1])
			if slices.Contains(history, found[2]) && !strings.Contains(found[3], "Index Cond") && !ends {
				t.Errorf("a pass reads all of %s through %s:\n%s\n%s", found[2], found[1], query, plan)
			}
		}
	}
	if read < 60 {
		t.Errorf("only %d statements were recorded", read)
	}
}

// explain returns the lines of PostgreSQL's plan for a statement.
func explain(t *testing.T, tx *sql.Tx, query string, args []any) []string {
	t.Helper()
	rows, err := tx.QueryContext(t.Context(), `EXPLAIN (COSTS OFF) `+query, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// noScans reads how SQLite would run the statements: the cost of a pass
// follows the work in hand.
func noScans(t *testing.T, s *jobtracker.Store, recorded map[string][]any) {
	t.Helper()
	verb := regexp.MustCompile(`^\s*(SELECT|UPDATE|DELETE|INSERT)\b`)
	read := 0
	for query, args := range recorded {
		if !verb.MatchString(query) {
			continue // pragmas
		}
		read++
		for _, step := range plan(t, s.Reader(), query, args) {
			if table, bad := scans(step); bad {
				t.Errorf("a pass scans the history in %s: %q\n%s", table, step, query)
			}
		}
	}
	if read < 60 {
		t.Errorf("only %d statements were recorded", read)
	}
}

// TestScansAreSeen: the check above can fail.
func TestScansAreSeen(t *testing.T) {
	t.Parallel()
	s := openFile(t)
	for query, want := range map[string]bool{
		`SELECT count(*) FROM events WHERE actor = 'x'`:                                 true,
		`SELECT id FROM jobs ORDER BY id`:                                               true,
		`SELECT id FROM files WHERE status <> 'deleted'`:                                true,
		`UPDATE files SET bytes = 0 WHERE digest = 'x'`:                                 true,
		`DELETE FROM mails WHERE sent_at <> ''`:                                         true,
		`SELECT f.id FROM files f JOIN job_files USING (id) WHERE f.path = 'x'`:         true,
		`SELECT id FROM files WHERE status = 'new'`:                                     false,
		`SELECT kind, count(*) FROM notices WHERE mail_id IS NULL GROUP BY kind`:        false,
		`SELECT system FROM outages`:                                                    false,
		`SELECT count(*) FROM (SELECT id FROM jobs WHERE status = 'new' ORDER BY name)`: false,
	} {
		got := false
		for _, step := range plan(t, s.Reader(), query, nil) {
			_, bad := scans(step)
			got = got || bad
		}
		if got != want {
			t.Errorf("%s: scans history: %v, want %v\n%q", query, got, want, plan(t, s.Reader(), query, nil))
		}
	}
}

// plan returns the steps of SQLite's plan for a statement.
func plan(t *testing.T, db *sql.DB, query string, args []any) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+query, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}

// scans reports whether a step of a plan visits all rows of a table whose rows
// outlive their work, other than through an index of work in hand. A table
// under an unknown name counts too: an alias must not hide it.
func scans(step string) (table string, bad bool) {
	word := strings.Fields(step)
	if len(word) < 2 || word[0] != "SCAN" {
		return "", false
	}
	table = word[1]
	if i := slices.Index(word, "INDEX"); i > 0 && i+1 < len(word) && slices.Contains(inHand, word[i+1]) {
		return table, false
	}
	harmless := []string{"outages", "pauses", "json_each", "CONSTANT", "(subquery-1)"}
	return table, slices.Contains(history, table) || !slices.Contains(harmless, table)
}

// otherWork calls what makeAll and operatorActs do not.
func otherWork(t *testing.T, s *jobtracker.Store) {
	t.Helper()
	ctx := t.Context()
	ok := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	for _, m := range pipeline.Machines() {
		ok(s.CountIn(ctx, m.Entity, m.Statuses()...))
	}
	for _, status := range pipeline.MachineOf(pipeline.EntityFile).Statuses() {
		ok(s.FilesIn(ctx, status))
	}
	ok(s.AttemptsIn(ctx, pipeline.Downloading))
	ok(s.JobsIn(ctx, pipeline.Failed))
	ok(s.SubmitsIn(ctx, pipeline.Running))
	ok(s.WaitingRequests(ctx))
	ok(s.DueFiles(ctx, 10))
	ok(s.DueJobs(ctx, 1000))
	ok(s.UngroupedFiles(ctx))
	ok(s.FilesToDelete(ctx))
	ok(s.Space(ctx))
	ok(s.RecentRate(ctx, 10))
	ok(s.AttemptsOf(ctx, 1))
	ok(s.JobFiles(ctx, 1))
	ok(s.JobsOfFile(ctx, 1))
	ok(s.SubmitsOf(ctx, 1))
	ok(s.SubmitsByQueueID(ctx, "1"))
	ok(s.OutputDirTaken(ctx, "/x"))
	ok(s.OutputDirsBeneath(ctx, "/x"))
	ok(s.JobGeneration(ctx, pipeline.Job{ID: 1, Stage: "search", Product: "mock", GroupKey: "x"}))
	ok(s.LiveSubmits(ctx))
	ok(s.UnseenEnds(ctx))
	ok(s.KnownFilenames(ctx, []string{"a", "b"}))
	ok(s.FilesOfRequest(ctx, 1))
	ok(s.Outages(ctx))
	ok(s.Events(ctx, pipeline.EntityJob, 1))
	ok(s.EventsAfter(ctx, 1, 10))
	ok(s.LastEvent(ctx))

	// A row that others moved, a name given twice, a file that cannot go.
	f := jobtrackertest.MakeFile(t, s, pipeline.Retrying)
	f.Size++
	ok(nil, s.RelistFile(ctx, f))
	f.Status = pipeline.New
	_, err := s.StartAttempt(ctx, f, 0)
	refused(t, err)
	refused(t, s.NameRequest(ctx, jobtrackertest.MakeRequest(t, s, pipeline.Waiting).ID, "another"))
	refused(t, s.WantFileDeleted(ctx, f.ID, ""))
	a := jobtrackertest.MakeAttempt(t, s, pipeline.Downloading)
	ok(nil, s.Progress(ctx, a, 10))
	sub := jobtrackertest.MakeSubmit(t, s, pipeline.Running)
	ok(nil, s.SubmitSeen(ctx, sub.ID, "node1", time.Now()))
	ok(nil, s.StopSubmit(ctx, sub, false, ""))
	ok(nil, s.SubmitEndedLate(ctx, sub.ID, jobtracker.End{EndedAt: time.Now()}))
	sub = jobtrackertest.MakeSubmit(t, s, pipeline.Running)
	ok(nil, s.SubmitFailed(ctx, sub, jobtracker.End{RanOut: pipeline.Memory}))
	ok(s.RanOut(ctx, sub.JobID))
	sub = jobtrackertest.MakeSubmit(t, s, pipeline.Processed)
	ok(nil, s.SubmitUploaded(ctx, sub, "1", "", true))

	// Pauses, outages and mail.
	for _, kind := range pipeline.PauseKinds() {
		ok(nil, s.Pause(ctx, kind, "maintenance"))
		ok(s.Resume(ctx, kind, "done"))
	}
	ok(s.Pauses(ctx))
	ok(s.LastEnds(ctx, 10))
	ok(s.RecentSystemEvents(ctx, time.Time{}, 3))
	n := pipeline.Notice{Kind: pipeline.NoticeOutage, Subject: "x"}
	ok(nil, s.OutageBegan(ctx, pipeline.MailServer, "x", n))
	ok(nil, s.OutageOver(ctx, pipeline.MailServer))
	pending, err := s.PendingNotices(ctx)
	ok(nil, err)
	for _, p := range pending {
		m, err := s.ComposeMail(ctx, pipeline.Mail{Kind: p.Kind, Count: p.Count}, p.LastID)
		ok(nil, err)
		ok(s.UnsentMails(ctx))
		ok(nil, s.MailSent(ctx, m.ID))
	}
	ok(s.MailsSince(ctx, time.Now()))
	watched, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	s.Watch(watched, time.Millisecond, func() {})
}

func refused(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("what should have been refused was done")
	}
}

// allRecorded checks that the package has no SQL that was not recorded, so
// that a new query cannot be forgotten. Raw strings hold SQL and nothing else.
func allRecorded(t *testing.T, recorded map[string][]any) {
	t.Helper()
	// What operators do now and then: listing, making, checking, restoring.
	notOfAPass := []string{
		"list.go", "schema.go", "create.go", "check.go", "examine.go", "backup.go", "restore.go", "adopt.go",
		"sqlite.go", "postgres.go", "postgreslock.go", "postgresconn.go", // what is not of both databases
	}
	notOfAPassEither := ` FROM mails ORDER BY id DESC LIMIT ?` // a list, too
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") || slices.Contains(notOfAPass, source) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING || !strings.HasPrefix(lit.Value, "`") {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			for query := range recorded {
				if strings.Contains(query, text) {
					return true
				}
			}
			if text != notOfAPassEither {
				t.Errorf("%s: this SQL was not recorded; call its method here:\n%s", source, text)
			}
			return true
		})
	}
}
