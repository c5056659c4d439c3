package commondb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"longhaul/internal/pipeline"
)

// Script is the SQL by which the administrator of a server makes the tables and
// gives a user the least rights that uploads need: to insert and to read.
// Nothing is asked of the server.
func Script(ctx context.Context, o Options, user string) (tables, grants []string, err error) {
	if o, err = o.withDefaults(); err != nil {
		return nil, nil, err
	}
	var w words
	switch o.Driver {
	case Postgres:
		w = postgresWords()
	case MySQL:
		w = mysqlWords("MariaDB")
	default:
		return nil, nil, pipeline.Fatal(fmt.Errorf("a file of SQLite needs no script and has no users; \"longhaul commondb init\" makes it"))
	}
	steps, err := migrations(o.schemaFiles(), w)
	if err != nil {
		return nil, nil, err
	}
	ours, err := expected(ctx, o.schemaFiles())
	if err != nil {
		return nil, nil, err
	}
	return script(w, 0, steps), grantsOf(o, slices.Sorted(maps.Keys(ours)), user), nil
}

// script is all statements after version from.
func script(w words, from int, steps []migration) []string {
	var list []string
	if from == 0 {
		list = append(list, versionTableText(w))
	}
	for i := from; i < len(steps); i++ {
		list = append(list, steps[i]...)
		list = append(list, fmt.Sprintf(`INSERT INTO %s (version) VALUES (%d)`, versionTable, i+1))
	}
	return list
}

func grantsOf(o Options, tables []string, user string) []string {
	if o.Driver == MySQL {
		account := "'" + strings.ReplaceAll(user, "'", "''") + "'@'%'"
		database := mysqlDialect{}.quote(o.Database)
		list := []string{fmt.Sprintf("GRANT SELECT ON %s.%s TO %s", database, versionTable, account)}
		for _, t := range tables {
			list = append(list, fmt.Sprintf("GRANT SELECT, INSERT ON %s.%s TO %s", database, t, account))
		}
		return list
	}
	quote := postgresDialect{}.quote
	sequences := make([]string, len(tables))
	for i, t := range tables {
		sequences[i] = t + "_id_seq"
	}
	return []string{
		fmt.Sprintf("GRANT CONNECT ON DATABASE %s TO %s", quote(o.Database), quote(user)),
		fmt.Sprintf("GRANT SELECT ON %s TO %s", versionTable, quote(user)),
		fmt.Sprintf("GRANT SELECT, INSERT ON %s TO %s", strings.Join(tables, ", "), quote(user)),
		fmt.Sprintf("GRANT USAGE ON SEQUENCE %s TO %s", strings.Join(sequences, ", "), quote(user)),
	}
}
