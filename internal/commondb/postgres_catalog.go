package commondb

import (
	"context"
	"fmt"
	"math"
	"strings"
)

// catalog reads the schema from PostgreSQL's own tables: the tables that an
// unqualified name finds, whatever their rights.
func (d postgresDialect) catalog(ctx context.Context, q querier) (catalog, error) {
	c, err := d.tables(ctx, q)
	delete(c, versionTable)
	return c, err
}

func (postgresDialect) tables(ctx context.Context, q querier) (catalog, error) {
	c := make(catalog)
	for _, read := range []func(context.Context, querier, catalog) error{postgresColumns, postgresIndexes, postgresParents} {
		if err := read(ctx, q, c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// postgresTables is a condition for pg_class c.
const postgresTables = `c.relkind IN ('r', 'p') AND pg_table_is_visible(c.oid) AND c.relnamespace IN
	(SELECT oid FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_')`

func postgresColumns(ctx context.Context, q querier, c catalog) error {
	rows, err := q.QueryContext(ctx, `
		SELECT c.relname, a.attname, a.attnotnull, b.typname, b.oid::bigint
		  FROM pg_class c
		  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
		  JOIN pg_type t ON t.oid = a.atttypid
		  JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
		 WHERE `+postgresTables)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var typeID int64
		var col column
		if err := rows.Scan(&name, &col.name, &col.notNull, &col.declared, &typeID); err != nil {
			return err
		}
		col.typeID = uint32(typeID)
		col.kind, col.min, col.max = postgresKind(col.declared)
		t := c[name]
		if t == nil {
			t = &table{name: name, columns: make(map[string]*column)}
			c[name] = t
		}
		t.columns[col.name] = &col
	}
	return rows.Err()
}

func postgresKind(declared string) (k kind, least, most int64) {
	switch declared {
	case "int2":
		return kindInteger, math.MinInt16, math.MaxInt16
	case "int4":
		return kindInteger, math.MinInt32, math.MaxInt32
	case "int8":
		return kindInteger, 0, 0
	case "float4", "float8", "numeric":
		return kindReal, 0, 0
	case "text", "varchar", "bpchar":
		return kindText, 0, 0
	case "bytea":
		return kindBlob, 0, 0
	case "bool":
		return kindBool, 0, 0
	case "timestamptz", "timestamp":
		return kindTime, 0, 0
	}
	return kindOther, 0, 0
}

// postgresIndexes reads primary keys and the sets of columns that are unique
// together, other than those that hold for some rows only.
func postgresIndexes(ctx context.Context, q querier, c catalog) error {
	rows, err := q.QueryContext(ctx, `
		SELECT c.relname, i.indisprimary,
		       (SELECT string_agg(a.attname, E'\x01' ORDER BY k.n)
		          FROM unnest(i.indkey[0:i.indnkeyatts-1]) WITH ORDINALITY AS k (attnum, n)
		          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum),
		       coalesce(pg_get_serial_sequence(quote_ident(c.relname),
		           (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = i.indkey[0])), '')
		  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
		 WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND `+postgresTables+`
		 ORDER BY c.relname, x.relname`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name, list, sequence string
		var primary bool
		if err := rows.Scan(&name, &primary, &list, &sequence); err != nil {
			return err
		}
		t, columns := c[name], strings.Split(list, "\x01")
		col := t.columns[columns[0]]
		switch {
		case !primary:
			t.unique = append(t.unique, columns)
		case len(columns) == 1 && col != nil && col.kind == kindInteger:
			t.key, t.sequence = col.name, sequence
			if sequence == "" {
				t.unfit = fmt.Errorf("the database does not give its key; make it %s", postgresWords().key)
			}
		}
	}
	return rows.Err()
}

// postgresParents reads the foreign keys of one column that refer to a primary key.
func postgresParents(ctx context.Context, q querier, c catalog) error {
	rows, err := q.QueryContext(ctx, `
		SELECT c.relname, a.attname, p.relname, b.attname
		  FROM pg_constraint f
		  JOIN pg_class c ON c.oid = f.conrelid
		  JOIN pg_class p ON p.oid = f.confrelid
		  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = f.conkey[1]
		  JOIN pg_attribute b ON b.attrelid = p.oid AND b.attnum = f.confkey[1]
		 WHERE f.contype = 'f' AND array_length(f.conkey, 1) = 1 AND `+postgresTables)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name, from, parent, to string
		if err := rows.Scan(&name, &from, &parent, &to); err != nil {
			return err
		}
		col, up := c[name].columns[from], c[parent]
		if col != nil && up != nil && to == up.key {
			col.parent = parent
		}
	}
	return rows.Err()
}
