package commondb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
)

// catalog reads the schema from information_schema, which shows a user what it
// has rights to.
func (d mysqlDialect) catalog(ctx context.Context, q querier) (catalog, error) {
	c, err := d.tables(ctx, q)
	delete(c, versionTable)
	return c, err
}

func (mysqlDialect) tables(ctx context.Context, q querier) (catalog, error) {
	c := make(catalog)
	for _, read := range []func(context.Context, querier, catalog) error{mysqlColumns, mysqlIndexes, mysqlParents} {
		if err := read(ctx, q, c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func mysqlColumns(ctx context.Context, q querier, c catalog) error {
	rows, err := q.QueryContext(ctx, `
		SELECT t.TABLE_NAME, coalesce(t.ENGINE, ''), c.COLUMN_NAME, lower(c.DATA_TYPE), lower(c.COLUMN_TYPE),
		       c.IS_NULLABLE = 'NO', upper(c.EXTRA)
		  FROM information_schema.TABLES t
		  JOIN information_schema.COLUMNS c ON c.TABLE_NAME = t.TABLE_NAME
		 WHERE t.TABLE_SCHEMA = database() AND t.TABLE_TYPE = 'BASE TABLE'
		   AND c.TABLE_SCHEMA = database()`) // said for both, or all databases are opened
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name, engine, full, extra string
		var col column
		if err := rows.Scan(&name, &engine, &col.name, &col.declared, &full, &col.notNull, &extra); err != nil {
			return err
		}
		t := c[name]
		if t == nil {
			t = &table{name: name, columns: make(map[string]*column)}
			if !strings.EqualFold(engine, "InnoDB") {
				t.unfit = &Problem{NoTransaction, fmt.Errorf("its engine is %q", engine)}
			}
			c[name] = t
		}
		if strings.Contains(extra, "GENERATED") && !strings.Contains(extra, "DEFAULT_GENERATED") {
			continue
		}
		col.kind, col.min, col.max = mysqlKind(col.declared, strings.Contains(full, "unsigned"))
		t.columns[col.name] = &col
		if strings.Contains(extra, "AUTO_INCREMENT") {
			t.sequence = col.name
		}
	}
	return rows.Err()
}

func mysqlKind(declared string, unsigned bool) (k kind, least, most int64) {
	bits := map[string]int{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}[declared]
	switch {
	case bits == 64 && unsigned:
		return kindInteger, 0, math.MaxInt64
	case bits == 64:
		return kindInteger, 0, 0
	case bits > 0 && unsigned:
		return kindInteger, 0, 1<<bits - 1
	case bits > 0:
		return kindInteger, -1 << (bits - 1), 1<<(bits-1) - 1
	}
	switch declared {
	case "float", "double", "decimal":
		return kindReal, 0, 0
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext":
		return kindText, 0, 0
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return kindBlob, 0, 0
	case "datetime", "timestamp":
		return kindTime, 0, 0
	}
	return kindOther, 0, 0
}

// mysqlIndexes reads primary keys and the sets of columns that are unique
// together.
func mysqlIndexes(ctx context.Context, q querier, c catalog) error {
	rows, err := q.QueryContext(ctx, `
		SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, SUB_PART IS NOT NULL
		  FROM information_schema.STATISTICS
		 WHERE TABLE_SCHEMA = database() AND NON_UNIQUE = 0
		 ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX`)
	if err != nil {
		return err
	}
	defer rows.Close()
	type index struct {
		t       *table
		name    string
		columns []string
		partial bool // of the beginnings of texts
	}
	var all []index
	for rows.Next() {
		var name, idx, col string
		var partial bool
		if err := rows.Scan(&name, &idx, &col, &partial); err != nil {
			return err
		}
		if n := len(all); n == 0 || all[n-1].t != c[name] || all[n-1].name != idx {
			all = append(all, index{t: c[name], name: idx})
		}
		last := &all[len(all)-1]
		last.columns, last.partial = append(last.columns, col), last.partial || partial
	}
	for _, x := range all {
		switch {
		case x.t == nil || x.partial:
		case x.name != "PRIMARY":
			x.t.unique = append(x.t.unique, x.columns)
		case len(x.columns) == 1 && x.t.columns[x.columns[0]].kind == kindInteger:
			x.t.key = x.columns[0]
			if x.t.sequence != x.t.key && x.t.unfit == nil {
				x.t.unfit = errors.New("the database does not give its key; make it AUTO_INCREMENT")
			}
		}
	}
	return rows.Err()
}

// mysqlParents reads the foreign keys of one column that refer to a primary key.
func mysqlParents(ctx context.Context, q querier, c catalog) error {
	rows, err := q.QueryContext(ctx, `
		SELECT TABLE_NAME, min(COLUMN_NAME), min(REFERENCED_TABLE_NAME), min(REFERENCED_COLUMN_NAME)
		  FROM information_schema.KEY_COLUMN_USAGE
		 WHERE TABLE_SCHEMA = database() AND REFERENCED_TABLE_SCHEMA = TABLE_SCHEMA
		 GROUP BY TABLE_NAME, CONSTRAINT_NAME
		HAVING count(*) = 1`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name, from, parent, to string
		if err := rows.Scan(&name, &from, &parent, &to); err != nil {
			return err
		}
		if c[name] == nil || c[parent] == nil {
			continue
		}
		if col := c[name].columns[from]; col != nil && to == c[parent].key {
			col.parent = parent
		}
	}
	return rows.Err()
}
