package commondb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"longhaul/schema"
)

// Finding is one thing that Inspect looked at.
type Finding struct {
	What   string // connection, tables, rights, durability, trial
	OK     bool
	Detail string // what was found, or what is wrong and what to do
}

// Inspect looks at all that uploads need, and goes on after what is wrong. Open
// has looked at the version of the tables before.
func (db *DB) Inspect(ctx context.Context) []Finding {
	var all []Finding
	for _, look := range []struct {
		what string
		at   func(context.Context) (string, error)
	}{
		{"connection", db.inspectServer},
		{"tables", db.inspectTables},
		{"rights", db.inspectRights},
		{"durability", db.inspectDurability},
		{"trial", func(ctx context.Context) (string, error) {
			return "an upload with a row of each kind was written, read back, and rolled back", db.Check(ctx)
		}},
	} {
		var detail string
		err := db.within(ctx, func(ctx context.Context) (err error) {
			detail, err = look.at(ctx)
			return err
		})
		if err != nil {
			detail = err.Error()
		}
		if detail != "" {
			all = append(all, Finding{look.what, err == nil, detail})
		}
	}
	return all
}

func (db *DB) inspectServer(ctx context.Context) (string, error) {
	d, ok := db.dialect.(server)
	if !ok {
		return "the file " + db.name, nil
	}
	version, tls, err := d.about(ctx, db.read)
	return fmt.Sprintf("%s: %s, %s", db.name, version, secured(tls)), err
}

func secured(tls bool) string {
	if tls {
		return "with TLS"
	}
	return "without TLS"
}

func (db *DB) inspectTables(ctx context.Context) (string, error) {
	want, err := expected(ctx, schema.CommonDB)
	if err != nil {
		return "", err
	}
	got, err := db.dialect.catalog(ctx, db.read)
	if err != nil {
		return "", err
	}
	if missing := got.lacks(want); len(missing) > 0 {
		return "", outage(NoTables, fmt.Errorf("%s", strings.Join(missing, "; ")))
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if err := got[name].unfit; err != nil {
			return "", outage("", fmt.Errorf("table %s: %w", name, err))
		}
	}
	return fmt.Sprintf("%d tables of longhaul, %d others", len(want), len(got)-len(want)), nil
}

// lacks says what of another catalog is not in c, or is there with another
// meaning.
func (c catalog) lacks(other catalog) []string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(other)) {
		want, got := other[name], c[name]
		if got == nil {
			say("there is no table %s", name)
			continue
		}
		if got.key != want.key {
			say("the primary key of %s is %q, not %q", name, got.key, want.key)
		}
		for _, set := range want.unique {
			if !slices.ContainsFunc(got.unique, func(s []string) bool { return slices.Equal(s, set) }) {
				say("%s (%s) is not unique", name, strings.Join(set, ", "))
			}
		}
		for _, col := range slices.Sorted(maps.Keys(want.columns)) {
			w, g := want.columns[col], got.columns[col]
			switch {
			case g == nil:
				say("there is no column %s.%s", name, col)
			case !sameKind(w.kind, g.kind):
				say("%s.%s holds %s, not %s", name, col, g.kind, w.kind)
			case g.notNull != w.notNull && g.name != got.key:
				say("%s.%s: NOT NULL is %v, not %v", name, col, g.notNull, w.notNull)
			case g.parent != w.parent:
				say("%s.%s refers to %q, not to %q", name, col, g.parent, w.parent)
			}
		}
	}
	return all
}

// sameKind takes text for a time, which is what SQLite has for it.
func sameKind(a, b kind) bool {
	return a == b || a == kindText && b == kindTime || a == kindTime && b == kindText
}

func (db *DB) inspectRights(ctx context.Context) (string, error) {
	d, ok := db.dialect.(server)
	if !ok {
		return "", nil
	}
	cat, err := db.dialect.catalog(ctx, db.read)
	if err != nil {
		return "", err
	}
	missing, more, err := d.rights(ctx, db.read, cat)
	switch {
	case err != nil:
		return "", err
	case len(missing) > 0:
		return "", outage(NoRight, fmt.Errorf("it lacks %s", strings.Join(missing, ", ")))
	case len(more) > 0:
		return "it may insert and read, and more than it needs: " + strings.Join(more[:min(5, len(more))], ", "), nil
	}
	return "it may insert and read, and no more", nil
}

// inspectDurability warns of a server that forgets commits when the power
// fails: raw data is deleted on the word of a commit.
func (db *DB) inspectDurability(ctx context.Context) (string, error) {
	d, ok := db.dialect.(server)
	if !ok {
		return "", nil
	}
	settings, weak, err := d.durability(ctx, db.read)
	if weak {
		settings += ": a power cut can take back commits of the last second, and raw data is deleted on their word; have the server set to keep them"
	}
	return settings, err
}
