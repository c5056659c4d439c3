package commondb

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"longhaul/internal/results"
)

// maxTreeDepth bounds how deep children and references may nest.
const maxTreeDepth = 32

// measure is what is known of a tree of records before the database is asked.
type measure struct {
	digest string // SHA-256 over all of it, hex
	rows   int    // without shared ones
	bytes  int64  // of all blobs
}

// measureTree walks the records once. It refuses what no database could hold
// or compare, and anything that is not as package results promises.
func measureTree(records []results.Record) (measure, error) {
	if len(records) == 0 {
		return measure{}, rejected("there are no records")
	}
	d := digester{h: sha256.New()}
	d.text("longhaul records 1")
	d.records(records, 0)
	if d.err != nil {
		return measure{}, d.err
	}
	return measure{hex.EncodeToString(d.h.Sum(nil)), d.rows, d.bytes}, nil
}

// digestOf is the digest of one record by itself, hex.
func digestOf(r results.Record) string {
	d := digester{h: sha256.New()}
	d.record(r, 0)
	return hex.EncodeToString(d.h.Sum(nil))
}

// digester feeds a tree to a hash so that different trees give different
// input: every part has its kind and length in front, keys are in order.
type digester struct {
	h     hash.Hash
	part  [9]byte // of the text before it goes to h
	rows  int
	bytes int64
	err   error // the first
}

func (d *digester) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *digester) number(kind byte, n uint64) {
	d.part[0] = kind
	binary.BigEndian.PutUint64(d.part[1:], n)
	d.h.Write(d.part[:])
}

func (d *digester) text(s string) {
	d.number('s', uint64(len(s)))
	io.WriteString(d.h, s) // SHA-256 takes it without a copy
}

func (d *digester) records(list []results.Record, depth int) {
	d.number('R', uint64(len(list)))
	d.rows += len(list)
	for _, r := range list {
		d.record(r, depth)
	}
}

func (d *digester) record(r results.Record, depth int) {
	if depth == maxTreeDepth {
		d.fail(rejected("records nest more than %d deep", maxTreeDepth))
		return
	}
	d.text(r.Table)
	d.number('v', uint64(len(r.Values)))
	for _, col := range sortedKeys(r.Values) {
		d.text(col)
		d.value(r.Table, col, r.Values[col])
	}
	d.number('b', uint64(len(r.Blobs)))
	for _, col := range sortedKeys(r.Blobs) {
		d.text(col)
		d.blob(r.Table, col, r.Blobs[col])
	}
	d.number('r', uint64(len(r.Refs)))
	for _, col := range sortedKeys(r.Refs) {
		d.text(col)
		ref := r.Refs[col]
		if len(ref.Blobs) > 0 || len(ref.Children) > 0 {
			d.fail(rejected("%s.%s: a shared row has neither blobs nor children", r.Table, col))
		}
		d.record(ref, depth+1)
	}
	d.records(r.Children, depth+1)
}

func (d *digester) value(table, col string, v any) {
	switch v := v.(type) {
	case nil:
		d.number('0', 0)
	case bool:
		n := uint64(0)
		if v {
			n = 1
		}
		d.number('t', n)
	case int64:
		d.number('i', uint64(v))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			d.fail(rejected("%s.%s: %v cannot be stored; use null", table, col, v))
		}
		d.number('f', math.Float64bits(v))
	case string:
		if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
			d.fail(rejected("%s.%s: %s is not text: it has NUL characters or bytes that are not UTF-8", table, col, show(v)))
		}
		d.text(v)
	default:
		d.fail(rejected("%s.%s: a value of type %T; int64, float64, string, bool and nil can be stored", table, col, v))
	}
}

func (d *digester) blob(table, col string, b results.Blob) {
	if len(b.SHA256) != 2*sha256.Size || b.Size < 0 || b.Open == nil {
		d.fail(rejected("%s.%s: the file %.80q was not measured", table, col, b.Name))
	}
	d.bytes += b.Size
	d.number('l', uint64(b.Size))
	d.text(b.SHA256)
}

// sortedKeys are the keys of a map in order; most maps of a record have few.
func sortedKeys[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
