package commondb

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"longhaul/internal/pipeline"
	"longhaul/schema"
)

// words are what a dialect has for the words in braces of the schema.
type words struct {
	key, integer, real, name, text, blob, time, now, table string
}

func (w words) translate(text string) string {
	return strings.NewReplacer("{key}", w.key, "{integer}", w.integer, "{real}", w.real, "{name}", w.name,
		"{text}", w.text, "{blob}", w.blob, "{time}", w.time, "{now}", w.now, "{table}", w.table).Replace(text)
}

// migration is one step of the schema, in statements.
type migration []string

// migrations are the steps of the schema, in the SQL of a dialect.
func migrations(files fs.FS, w words) ([]migration, error) {
	names, err := fs.Glob(files, "commondb/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var all []migration
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		all = append(all, statements(w.translate(string(text))))
	}
	return all, nil
}

// statements takes a text apart at the semicolons that end a line, or stand
// before the comment that does.
func statements(text string) (list migration) {
	var current []string
	for line := range strings.Lines(text) {
		current = append(current, line)
		code, _, _ := strings.Cut(line, "--")
		if strings.HasSuffix(strings.TrimSpace(code), ";") {
			list = append(list, strings.TrimSpace(strings.Join(current, "")))
			current = nil
		}
	}
	if rest := strings.TrimSpace(strings.Join(current, "")); rest != "" {
		list = append(list, rest)
	}
	return list
}

// schemaFiles is the schema; tests give others.
func (o Options) schemaFiles() fs.FS {
	if o.files != nil {
		return o.files
	}
	return schema.CommonDB
}

// expected is the catalog of a database with our tables and no others, which
// SQLite makes in memory from the same text.
func expected(ctx context.Context, files fs.FS) (catalog, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // each connection would have a database of its own
	steps, err := migrations(files, sqliteWords())
	if err != nil {
		return nil, err
	}
	for _, step := range steps {
		for _, statement := range step {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return nil, err
			}
		}
	}
	return (*sqliteDialect)(nil).catalog(ctx, db)
}

// versionError says what a database's version means to a program that knows
// versions up to want; nil if it is want.
func versionError(version, want int) error {
	do := "\"longhaul commondb init\" brings it to that"
	switch {
	case version == want:
		return nil
	case version > want:
		do = "use the newer longhaul that made it"
	}
	return pipeline.Fatal(&Problem{WrongVersion, fmt.Errorf("it has version %d, this program needs %d; %s", version, want, do)})
}
