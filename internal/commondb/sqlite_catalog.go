package commondb

import (
	"context"
	"slices"
	"strings"
)

// catalog reads the schema from SQLite's own tables.
func (*sqliteDialect) catalog(ctx context.Context, q querier) (catalog, error) {
	c := make(catalog)
	if err := sqliteColumns(ctx, q, c); err != nil {
		return nil, err
	}
	if err := sqliteParents(ctx, q, c); err != nil {
		return nil, err
	}
	return c, sqliteUnique(ctx, q, c)
}

// sqliteTables is the tables of the schema, without SQLite's own.
const sqliteTables = `sqlite_schema AS m WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\'`

func sqliteColumns(ctx context.Context, q querier, c catalog) error {
	rows, err := q.QueryContext(ctx, `
		SELECT m.name, x.name, upper(x.type), x."notnull", x.pk
		  FROM (SELECT m.name FROM `+sqliteTables+`) AS m, pragma_table_xinfo(m.name) AS x
		 WHERE x.hidden = 0
		 ORDER BY m.name, x.cid`)
	if err != nil {
		return err
	}
	defer rows.Close()
	keys := make(map[string]int)
	for rows.Next() {
		var name, col, typ string
		var notNull bool
		var pk int
		if err := rows.Scan(&name, &col, &typ, &notNull, &pk); err != nil {
			return err
		}
		t := c[name]
		if t == nil {
			t = &table{name: name, columns: make(map[string]*column)}
			c[name] = t
		}
		t.columns[col] = &column{name: col, kind: sqliteKind(typ), notNull: notNull}
		if pk > 0 {
			keys[name]++
			t.key = ""
			if typ == "INTEGER" && keys[name] == 1 {
				t.key = col
			}
		}
	}
	return rows.Err()
}

// sqliteKind follows SQLite's rules of affinity.
func sqliteKind(declared string) kind {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(declared, w) })
	}
	switch {
	case has("INT"):
		return kindInteger
	case has("CHAR", "CLOB", "TEXT"):
		return kindText
	case has("BLOB"):
		return kindBlob
	case has("REAL", "FLOA", "DOUB"):
		return kindReal
	}
	return kindAny
}

// sqliteParents reads the foreign keys of one column that refer to a primary key.
func sqliteParents(ctx context.Context, q querier, c catalog) error {
	rows, err := q.QueryContext(ctx, `
		SELECT m.name, f."table", f."from", coalesce(f."to", '')
		  FROM (SELECT m.name FROM `+sqliteTables+`) AS m, pragma_foreign_key_list(m.name) AS f
		 WHERE NOT EXISTS (SELECT 1 FROM pragma_foreign_key_list(m.name) AS g WHERE g.id = f.id AND g.seq > 0)`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name, parent, from, to string
		if err := rows.Scan(&name, &parent, &from, &to); err != nil {
			return err
		}
		col, up := c[name].columns[from], c[parent]
		if col != nil && up != nil && (to == "" || to == up.key) {
			col.parent = parent
		}
	}
	return rows.Err()
}

// sqliteUnique reads the sets of columns that are unique together, other than
// primary keys and those that hold for some rows only.
func sqliteUnique(ctx context.Context, q querier, c catalog) error {
	rows, err := q.QueryContext(ctx, `
		SELECT m.name, i.name, coalesce(x.name, '')
		  FROM (SELECT m.name FROM `+sqliteTables+`) AS m, pragma_index_list(m.name) AS i, pragma_index_info(i.name) AS x
		 WHERE i."unique" AND NOT i.partial AND i.origin <> 'pk'
		 ORDER BY m.name, i.name, x.seqno`)
	if err != nil {
		return err
	}
	defer rows.Close()
	last := ""
	for rows.Next() {
		var name, index, col string
		if err := rows.Scan(&name, &index, &col); err != nil {
			return err
		}
		t := c[name]
		if index != last {
			t.unique, last = append(t.unique, nil), index
		}
		set := &t.unique[len(t.unique)-1]
		*set = append(*set, col)
	}
	return rows.Err()
}
