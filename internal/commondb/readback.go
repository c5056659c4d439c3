package commondb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"

	"longhaul/internal/results"
)

// readBack reads every row that was written and compares it with what was
// sent. It comes after the last insert, so that what a trigger changes in
// earlier rows is seen too.
func (w *writer) readBack(ctx context.Context) error {
	for _, r := range w.written {
		if err := w.compare(ctx, r); err != nil {
			return fmt.Errorf("read back: %w", err)
		}
	}
	return nil
}

// compare reads one row back.
func (w *writer) compare(ctx context.Context, r row) error {
	stmt, err := w.prepare(ctx, w.selectFrom(r.table, r.columns)+
		" WHERE "+w.dialect.quote(r.table.key)+" = "+w.dialect.param(1))
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, r.id)
	if err != nil {
		return fmt.Errorf("%s: %w", r.table.name, err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return fmt.Errorf("%s: %w", r.table.name, err)
		}
		return mismatch("%s: row %d is gone", r.table.name, r.id)
	}
	got := make([]any, len(r.columns))
	dest := []any{new(int64)}
	for i, v := range r.values {
		if _, ok := v.(results.Blob); ok {
			got[i] = new(sql.RawBytes) // not copied: a blob can be large
			dest = append(dest, got[i])
		} else {
			dest = append(dest, &got[i])
		}
	}
	if err := rows.Scan(dest...); err != nil {
		return fmt.Errorf("%s: %w", r.table.name, err)
	}
	for i, sent := range r.values {
		if b, ok := sent.(results.Blob); ok {
			err = sameBlob(b, *got[i].(*sql.RawBytes))
		} else if !equal(sent, got[i]) {
			err = fmt.Errorf("sent %s, got %s", show(sent), show(got[i]))
		}
		if err != nil {
			return mismatch("%s.%s of row %d: %w", r.table.name, r.columns[i], r.id, err)
		}
	}
	return rows.Err()
}

func sameBlob(sent results.Blob, got []byte) error {
	if int64(len(got)) != sent.Size {
		return fmt.Errorf("sent the file %.80q of %d bytes, got %d", sent.Name, sent.Size, len(got))
	}
	if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != sent.SHA256 {
		return fmt.Errorf("sent the file %.80q with SHA-256 %s, got %x", sent.Name, sent.SHA256, sum)
	}
	return nil
}

// equal compares a value that was sent with one that was read back. A float is
// compared to its last bit: that is the precision with which it was sent. A
// number may come back in the other of the two types if it is the same number;
// a bool comes back as 0 or 1.
func equal(sent, got any) bool {
	switch s := sent.(type) {
	case int64:
		switch g := got.(type) {
		case int64:
			return s == g
		case float64:
			return exactInt(g) && int64(g) == s
		}
	case float64:
		switch g := got.(type) {
		case float64:
			return s == g
		case int64:
			return exactInt(s) && int64(s) == g
		}
	case bool:
		switch g := got.(type) {
		case int64:
			return g == 1 && s || g == 0 && !s
		case bool:
			return s == g
		}
	case string:
		g, ok := got.(string)
		return ok && s == g
	case nil:
		return got == nil
	}
	return false
}
