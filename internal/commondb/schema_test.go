package commondb

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"longhaul/internal/pipeline"
	"longhaul/internal/results"
	"longhaul/schema"
)

func TestAllSystemsHaveTheSameSchema(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		db := open(t, b.options(t))
		want, err := expected(t.Context(), schema.CommonDB)
		if err != nil {
			t.Fatal(err)
		}
		got, err := db.dialect.catalog(t.Context(), db.read)
		if err != nil {
			t.Fatal(err)
		}
		if differ := slices.Concat(got.lacks(want), want.lacks(got)); len(differ) > 0 {
			t.Errorf("as SQLite has it, and it has it: %q", differ)
		}
		if len(got) != 14 || got["headers"].columns["upload_id"].parent != "uploads" || got["uploads"].unique == nil {
			t.Errorf("%d tables", len(got))
		}
	})
}

func TestEveryWordOfTheSchemaIsTranslated(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]words{"sqlite": sqliteWords(), "postgres": postgresWords(), "mysql": mysqlWords("8.0"), "mariadb": mysqlWords("10.11-MariaDB")} {
		steps, err := migrations(schema.CommonDB, w)
		if err != nil || len(steps) == 0 {
			t.Fatal(err)
		}
		for _, statement := range slices.Concat(steps...) {
			if strings.ContainsAny(statement, "{}") {
				t.Errorf("%s: %s", name, statement)
			}
			if strings.Count(statement, ";") != strings.Count(statement, ";\n")+1 && !strings.HasPrefix(statement, "--") {
				t.Errorf("%s: several statements in one, or a semicolon within: %s", name, statement)
			}
		}
	}
}

// newer is the schema with one step more than ours.
func newer(t testing.TB, step string) fstest.MapFS {
	t.Helper()
	first, err := schema.CommonDB.ReadFile("commondb/001_initial.sql")
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{"commondb/001_initial.sql": {Data: first}, "commondb/002_more.sql": {Data: []byte(step)}}
}

const secondStep = `-- What a later version may bring.
CREATE TABLE pulses (
    id        {key},
    header_id {integer} NOT NULL,
    dm        {real}    NOT NULL, -- pc cm-3; of the best
    FOREIGN KEY (header_id) REFERENCES headers (id)
) {table};
CREATE INDEX pulses_header ON pulses (header_id);
ALTER TABLE headers ADD COLUMN note {text};
`

func TestAnOlderDatabaseIsBroughtToThisVersion(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		old := b.options(t)
		db := open(t, old)
		if _, err := db.Upload(t.Context(), meta("s1"), []results.Record{beam(3)}); err != nil {
			t.Fatal(err)
		}
		o := old
		o.files = newer(t, secondStep)
		var p *Problem
		if _, err := Open(t.Context(), o); !errors.Is(err, pipeline.ErrFatal) || !errors.As(err, &p) || p.Cause != WrongVersion || !strings.Contains(err.Error(), "longhaul commondb init") {
			t.Errorf("Open by a newer program = %v, want ErrFatal with the way out", err)
		}
		for i, want := range []int{1, 2} {
			if from, to, err := Migrate(t.Context(), o); from != want || to != 2 || err != nil {
				t.Errorf("Migrate %d = from %d to %d, %v", i, from, to, err)
			}
		}
		now := open(t, o)
		r := beam(4)
		r.Values["note"] = "seen by eye"
		r.Children = append(r.Children, results.Record{Table: "pulses", Values: map[string]any{"dm": 45.5}})
		if _, err := now.Upload(t.Context(), meta("s2"), []results.Record{r}); err != nil {
			t.Error(err)
		}
		wantRows(t, now, map[string]int{"uploads": 2, "headers": 2, "pulses": 1})
		if _, err := Open(t.Context(), old); !errors.Is(err, pipeline.ErrFatal) || !strings.Contains(err.Error(), "newer longhaul") {
			t.Errorf("Open by an older program = %v, want ErrFatal", err)
		}
		if made, err := Init(t.Context(), old); made || !errors.Is(err, pipeline.ErrFatal) {
			t.Errorf("Init by an older program = %v, %v, want ErrFatal", made, err)
		}
		if b != SQLite {
			return
		}
		before := open(t, Options{Database: o.Database + ".version-1"})
		wantRows(t, before, map[string]int{"uploads": 1, "headers": 1})
		if info, err := os.Stat(o.Database + ".version-1"); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("the copy: %v, %v", info.Mode(), err)
		}
	})
}

func TestAMigrationThatFailsIsCompletedByTheNext(t *testing.T) {
	everywhere(t, func(t *testing.T, b backend) {
		o := b.options(t)
		good := newer(t, secondStep)
		o.files = newer(t, secondStep+"CREATE NONSENSE;\n") // stands for a death at that point
		if _, _, err := Migrate(t.Context(), o); err == nil {
			t.Error("nonsense was made")
		}
		o.files = good
		if _, err := Open(t.Context(), o); err == nil {
			t.Error("a half made database was opened")
		}
		if _, to, err := Migrate(t.Context(), o); to != 2 || err != nil {
			t.Errorf("Migrate again = to %d, %v", to, err)
		}
		db := open(t, o)
		if _, err := db.Upload(t.Context(), meta("s1"), []results.Record{beam(3)}); err != nil {
			t.Error(err)
		}
	})
}

func TestInitLeavesAnotherProgramsTablesAlone(t *testing.T) {
	onServers(t, func(t *testing.T, b backend) {
		o := b.options(t)
		conns, err := map[backend]func(Options) (*DB, error){Postgres: bare(connectPostgres, postgresDialect{}), MySQL: bare(connectMySQL, mysqlDialect{})}[b](o)
		if err != nil {
			t.Fatal(err)
		}
		defer conns.Close()
		alter(t, conns, `CREATE TABLE uploads (id {key}, a {text}) {table}`)
		if made, err := Init(t.Context(), o); made || !errors.Is(err, pipeline.ErrFatal) || !strings.Contains(err.Error(), "another program") {
			t.Errorf("Init = %v, %v, want ErrFatal", made, err)
		}
	})
}

func TestTwoInitsAtOnceMakeOneDatabase(t *testing.T) {
	onServers(t, func(t *testing.T, b backend) {
		o := b.options(t)
		outcome := make(chan bool, 2)
		for range cap(outcome) {
			go func() {
				made, err := Init(t.Context(), o)
				if err != nil {
					t.Error(err)
				}
				outcome <- made
			}()
		}
		if first, second := <-outcome, <-outcome; first == second {
			t.Errorf("made: %v and %v, want one of them", first, second)
		}
		wantRows(t, open(t, o), nothing)
	})
}
