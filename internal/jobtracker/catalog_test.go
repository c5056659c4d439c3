package jobtracker_test

import (
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"longhaul/internal/jobtracker"
)

// TestBothDatabasesHaveTheSameSchema compares tables, columns, keys, indexes and
// CHECKs. Of an expression it compares the names and the values in it.
func TestBothDatabasesHaveTheSameSchema(t *testing.T) {
	t.Parallel()
	file, server := onSQLite.catalog(t, onSQLite.open(t)), onPostgres.catalog(t, onPostgres.open(t))
	for _, line := range file {
		if !slices.Contains(server, line) {
			t.Errorf("only SQLite has: %s", line)
		}
	}
	for _, line := range server {
		if !slices.Contains(file, line) && !strings.HasPrefix(line, "tracker") {
			t.Errorf("only PostgreSQL has: %s", line)
		}
	}
	if len(file) < 150 {
		t.Errorf("the catalog has only %d lines", len(file))
	}
}

// catalog has a line for each thing in the schema of a job-tracker.
func (on backend) catalog(t *testing.T, s *jobtracker.Store) []string {
	t.Helper()
	if on == onPostgres {
		return serverCatalog(t, s)
	}
	return fileCatalog(t, s)
}

// essence is what an expression says, whoever wrote it down: its names and
// values, sorted.
func essence(expression string) string {
	expression = regexp.MustCompile(`::\w+`).ReplaceAllString(strings.ToLower(expression), "")
	all := regexp.MustCompile(`'[^']*'|[a-z_]+|\d+`).FindAllString(expression, -1)
	all = slices.DeleteFunc(all, func(w string) bool {
		return slices.Contains([]string{"in", "any", "array", "or", "and", "is", "not", "null", "json_valid"}, w)
	})
	slices.Sort(all)
	return strings.Join(all, " ")
}

func fileCatalog(t *testing.T, s *jobtracker.Store) []string {
	t.Helper()
	lines := collect(t, s.Reader(), `
		SELECT m.name || '.' || c.name || CASE c.type WHEN 'INTEGER' THEN ' integer' ELSE ' text' END
		       || CASE WHEN c."notnull" OR c.pk THEN ' not null' ELSE '' END || coalesce(' default ' || c.dflt_value, '')
		  FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`)
	lines = append(lines, collect(t, s.Reader(), `
		SELECT m.name || ' key ' || (SELECT group_concat(name, ',' ORDER BY pk) FROM pragma_table_info(m.name) WHERE pk > 0)
		  FROM sqlite_schema m WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`)...)
	lines = append(lines, collect(t, s.Reader(), `
		SELECT m.name || '.' || f."from" || ' refers to ' || f."table" || '.' || f."to"
		  FROM sqlite_schema m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'`)...)
	lines = append(lines, collect(t, s.Reader(), `
		SELECT m.name || ' unique ' || (SELECT group_concat(name, ',' ORDER BY seqno) FROM pragma_index_info(i.name))
		  FROM sqlite_schema m, pragma_index_list(m.name) i WHERE m.type = 'table' AND i.origin = 'u'`)...)
	for _, index := range collect(t, s.Reader(), `
		SELECT m.name || CASE WHEN i."unique" THEN ' unique' ELSE '' END || ' index ' || i.name || ' on '
		       || (SELECT group_concat(name, ',' ORDER BY seqno) FROM pragma_index_info(i.name)) || ' where '
		       || CASE WHEN i.partial THEN substr(x.sql, instr(x.sql, 'WHERE') + 5) ELSE '' END
		  FROM sqlite_schema m, pragma_index_list(m.name) i JOIN sqlite_schema x ON x.name = i.name
		 WHERE m.type = 'table' AND i.origin = 'c'`) {
		name, where, _ := strings.Cut(index, " where ")
		lines = append(lines, name+" where "+essence(where))
	}
	for _, table := range collect(t, s.Reader(), `SELECT name || ' ' || sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`) {
		name, text, _ := strings.Cut(table, " ")
		for _, check := range regexp.MustCompile(`CHECK \(((?:[^()]|\([^()]*\))*)\)`).FindAllStringSubmatch(text, -1) {
			lines = append(lines, name+" check "+essence(check[1]))
		}
	}
	return lines
}

func serverCatalog(t *testing.T, s *jobtracker.Store) []string {
	t.Helper()
	const ours = `c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace`
	columns := func(list, of string) string {
		return `(SELECT string_agg(a.attname, ',' ORDER BY k.n) FROM unnest(` + list + `) WITH ORDINALITY AS k (attnum, n)
		           JOIN pg_attribute a ON a.attrelid = ` + of + ` AND a.attnum = k.attnum)`
	}
	lines := collect(t, s.Reader(), `
		SELECT c.relname || '.' || a.attname || CASE format_type(a.atttypid, NULL) WHEN 'bigint' THEN ' integer' ELSE ' ' || format_type(a.atttypid, NULL) END
		       || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
		       || coalesce(' default ' || replace(pg_get_expr(d.adbin, d.adrelid), '::text', ''), '')
		  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum WHERE `+ours)
	lines = append(lines, collect(t, s.Reader(), `
		SELECT c.relname || CASE k.contype WHEN 'p' THEN ' key ' ELSE ' unique ' END || `+columns("k.conkey", "c.oid")+`
		  FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype IN ('p', 'u') WHERE `+ours)...)
	lines = append(lines, collect(t, s.Reader(), `
		SELECT c.relname || '.' || `+columns("k.conkey", "c.oid")+` || ' refers to ' || r.relname || '.' || `+columns("k.confkey", "r.oid")+`
		  FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f'
		  JOIN pg_class r ON r.oid = k.confrelid WHERE `+ours)...)
	for _, index := range collect(t, s.Reader(), `
		SELECT c.relname || CASE WHEN i.indisunique THEN ' unique' ELSE '' END || ' index ' || x.relname || ' on '
		       || coalesce(`+columns("i.indkey", "c.oid")+`, '') || ' where ' || coalesce(pg_get_expr(i.indpred, c.oid), '')
		  FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid JOIN pg_class x ON x.oid = i.indexrelid
		 WHERE NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u')) AND `+ours) {
		name, where, _ := strings.Cut(index, " where ")
		lines = append(lines, name+" where "+essence(where))
	}
	for _, check := range collect(t, s.Reader(), `
		SELECT c.relname || ' check ' || pg_get_expr(k.conbin, c.oid)
		  FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'c' WHERE `+ours) {
		name, expression, _ := strings.Cut(check, " check ")
		lines = append(lines, name+" check "+essence(expression))
	}
	return lines
}

func collect(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(fmt.Errorf("%w\n%s", err, query))
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(fmt.Errorf("%w\n%s", err, query))
		}
		all = append(all, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
