package commondb

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"longhaul/internal/pipeline"
	"longhaul/internal/results"
)

// keysAtOnce is how many keys are asked of a sequence at once.
const keysAtOnce = 10_000

// insertMany sends rows by COPY, with keys that it has asked the sequence for
// before. Files go from the disk to the server without being held in memory.
func (d postgresDialect) insertMany(ctx context.Context, s *session, rows []*row) error {
	return s.conn.Raw(func(driverConn any) error {
		c := driverConn.(*stdlib.Conn).Conn()
		if err := giveKeys(ctx, c, rows); err != nil {
			return fmt.Errorf("ask for keys of %s: %w", rows[0].table.name, err)
		}
		n, err := d.copy(ctx, c, rows)
		if err != nil {
			return copyError(rows, err)
		}
		if n != int64(len(rows)) {
			return notKept(rows[0].table)
		}
		return nil
	})
}

func giveKeys(ctx context.Context, c *pgx.Conn, rows []*row) error {
	for len(rows) > 0 {
		n := min(keysAtOnce, len(rows))
		var ids []int64
		err := c.QueryRow(ctx, `SELECT array_agg(nextval($1::text::regclass)) FROM generate_series(1, $2::bigint)`,
			rows[0].table.sequence, n).Scan(&ids)
		if err != nil {
			return err
		}
		if len(ids) != n {
			return fmt.Errorf("%d keys came, %d were asked for", len(ids), n)
		}
		for i, id := range ids {
			rows[i].id = id
		}
		rows = rows[n:]
	}
	return nil
}

// copy sends the rows and returns how many the server took.
func (d postgresDialect) copy(ctx context.Context, c *pgx.Conn, rows []*row) (int64, error) {
	names := []string{d.quote(rows[0].table.key)}
	for _, col := range rows[0].columns {
		names = append(names, d.quote(col.name))
	}
	from, to := io.Pipe()
	var sendErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		sendErr = sendRows(ctx, to, c.TypeMap(), rows)
		to.CloseWithError(sendErr) // nil: the end
	}()
	tag, err := c.PgConn().CopyFrom(ctx, from, fmt.Sprintf("COPY %s (%s) FROM STDIN BINARY",
		d.quote(rows[0].table.name), strings.Join(names, ", ")))
	from.CloseWithError(errServerEnded)
	<-done
	if sendErr != nil && !errors.Is(sendErr, errServerEnded) {
		return 0, sendErr // the server's error only repeats it
	}
	return tag.RowsAffected(), err
}

// errServerEnded stops the sender of rows when the server has had enough.
var errServerEnded = errors.New("the server ended the transfer")

// sendRows writes rows in the binary form of COPY: a signature; for each row
// the number of its columns, and each value with its length; an end.
func sendRows(ctx context.Context, to io.Writer, types *pgtype.Map, rows []*row) error {
	w := bufio.NewWriterSize(to, 1<<16)
	w.WriteString("PGCOPY\n\377\r\n\000\000\000\000\000\000\000\000\000") // an error stays until Flush
	var buf []byte
	for _, r := range rows {
		buf = binary.BigEndian.AppendUint16(buf[:0], uint16(len(r.columns)+1))
		buf = binary.BigEndian.AppendUint32(buf, 8)
		buf = binary.BigEndian.AppendUint64(buf, uint64(r.id))
		if keyType := r.table.columns[r.table.key].typeID; keyType != pgtype.Int8OID {
			var err error
			if buf, err = appendValue(buf[:2], types, keyType, r.id); err != nil {
				return rejected("%s.%s: %w", r.table.name, r.table.key, err)
			}
		}
		for i, col := range r.columns {
			v := known(r.values[i])
			if b, ok := v.(results.Blob); ok {
				w.Write(binary.BigEndian.AppendUint32(buf, uint32(b.Size)))
				buf = buf[:0]
				if err := sendBlob(ctx, w, b); err != nil {
					return fmt.Errorf("%s: %w", r.place(), blobError(r, col, err))
				}
				continue
			}
			var err error
			if buf, err = appendValue(buf, types, col.typeID, v); err != nil {
				return fmt.Errorf("%s: %w", r.place(), rejected("%s.%s: %w", r.table.name, col.name, err))
			}
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	w.Write([]byte{0xff, 0xff})
	return w.Flush()
}

// appendValue appends a value and its length before it.
func appendValue(buf []byte, types *pgtype.Map, typeID uint32, v any) ([]byte, error) {
	start := len(buf)
	buf = binary.BigEndian.AppendUint32(buf, 0xffffffff)
	if v == nil {
		return buf, nil
	}
	out, err := types.Encode(typeID, pgtype.BinaryFormatCode, v, buf)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(out[start:], uint32(len(out)-start-4))
	return out, nil
}

// sendBlob sends a file, and fails if it is not what it was.
func sendBlob(ctx context.Context, w io.Writer, b results.Blob) error {
	r, err := b.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	sum := sha256.New()
	left := b.Size
	for buf := make([]byte, min(b.Size+1, 1<<16)); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf)
		sum.Write(buf[:n])
		if left -= int64(n); left < 0 {
			return fmt.Errorf("%w: %q has become longer than the %d bytes it had", results.ErrInvalid, b.Name, b.Size)
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil && !sorted(err) && !errors.Is(err, results.ErrInvalid) {
			return pipeline.Outage(pipeline.LocalDisk, fmt.Errorf("read %q: %w", b.Name, err))
		} else if err != nil {
			return err
		}
	}
	switch got := hex.EncodeToString(sum.Sum(nil)); {
	case left > 0:
		return fmt.Errorf("%w: %q has become shorter than the %d bytes it had", results.ErrInvalid, b.Name, b.Size)
	case got != b.SHA256:
		return fmt.Errorf("%w: %q has changed since it was first read: its SHA-256 was %s, is %s", results.ErrInvalid, b.Name, b.SHA256, got)
	}
	return nil
}

// line finds the row in what the server says about where a COPY failed, in any
// language. It is a help for people; nothing depends on it.
var line = regexp.MustCompile(`^COPY .*?, \S+ (\d+)`)

func copyError(rows []*row, err error) error {
	var pe *pgconn.PgError
	at := rows[0].place()
	if len(rows) > 1 {
		at = fmt.Sprintf("one of %s and %d more", at, len(rows)-1)
	}
	if errors.As(err, &pe) {
		if m := line.FindStringSubmatch(pe.Where); m != nil {
			if n, _ := strconv.Atoi(m[1]); n > 0 && n <= len(rows) {
				at = rows[n-1].place()
			}
		}
	} else if sorted(err) {
		return err // has its place
	}
	return fmt.Errorf("%s: insert into %s: %w", at, rows[0].table.name, err)
}
