package commondb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"math"
	"time"

	"longhaul/internal/results"
)

// readAtOnce is how many rows one question asks for, each by an argument; all
// systems take as many.
const readAtOnce = 2000

// readBack reads rows of one shape, which were written, and compares them with
// what was sent.
func (s *session) readBack(ctx context.Context, rows []*row) error {
	for len(rows) > 0 {
		n := min(readAtOnce, len(rows))
		if err := s.compareAll(ctx, rows[:n]); err != nil {
			return fmt.Errorf("read back: %w", err)
		}
		rows = rows[n:]
	}
	return nil
}

func (s *session) compareAll(ctx context.Context, sent []*row) error {
	of := sent[0].shape
	byID := make(map[int64]*row, len(sent))
	ids := make([]int64, len(sent))
	for i, r := range sent {
		byID[r.id], ids[i] = r, r.id
	}
	if len(byID) < len(sent) {
		return mismatch("%s: the database gave one key to several rows", of.table.name)
	}
	condition, args := s.dialect.among(of.table.key, ids)
	stmt, err := s.prepare(ctx, s.selectFrom(of)+" WHERE "+condition)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", of.table.name, err)
	}
	defer rows.Close()
	got := newReceived(of)
	for rows.Next() {
		if err := rows.Scan(got.dest...); err != nil {
			return fmt.Errorf("%s: %w", of.table.name, err)
		}
		r := byID[got.id]
		if r == nil {
			return mismatch("%s: row %d came twice, or was not asked for", of.table.name, got.id)
		}
		if err := got.compare(r); err != nil {
			return err
		}
		delete(byID, got.id)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%s: %w", of.table.name, err)
	}
	for _, id := range ids {
		if byID[id] != nil {
			return mismatch("%s: row %d is gone", of.table.name, id)
		}
	}
	return nil
}

// received is the place for a row that is read back.
type received struct {
	id     int64
	values []any
	blobs  []sql.RawBytes // not copied: a blob can be large
	dest   []any
}

func newReceived(of *shape) *received {
	g := &received{values: make([]any, len(of.columns)), blobs: make([]sql.RawBytes, len(of.columns))}
	g.dest = append(g.dest, &g.id)
	for i, c := range of.columns {
		if c.kind == kindBlob {
			g.dest = append(g.dest, &g.blobs[i])
		} else {
			g.dest = append(g.dest, &g.values[i])
		}
	}
	return g
}

func (g *received) compare(sent *row) error {
	for i, v := range sent.values {
		var err error
		if b, ok := v.(results.Blob); ok {
			raw := []byte(g.blobs[i])
			if any, ok := g.values[i].([]byte); ok { // in a column of any kind
				raw = any
			}
			err = sameBlob(b, raw)
		} else if sent.columns[i].kind == kindBlob {
			if g.blobs[i] != nil {
				err = fmt.Errorf("sent null, got %d bytes", len(g.blobs[i]))
			}
		} else if v = known(v); !equal(v, g.values[i]) {
			err = fmt.Errorf("sent %s, got %s", show(v), show(plain(g.values[i])))
		}
		if err != nil {
			return mismatch("%s.%s of row %d: %w", sent.table.name, sent.columns[i].name, sent.id, err)
		}
	}
	return nil
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
// compared to its last bit: that is the precision with which it was sent; zero
// has no sign. A number may come back in the other of the two types if it is
// the same number; a bool comes back as 0 or 1.
func equal(sent, got any) bool {
	got = plain(got)
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
	case time.Time:
		g, ok := got.(time.Time)
		return ok && s.Equal(g)
	case nil:
		return got == nil
	}
	return false
}

// plain is a value as a driver gave it, as one of few types.
func plain(v any) any {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case float32:
		return float64(v)
	case int32:
		return int64(v)
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v)
		}
	}
	return v
}
