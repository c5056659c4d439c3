// Package results reads what a finished job left in its output directory and
// turns it into a tree of records that the common database can hold.
//
// A Reader knows one form of output: manifest (this package) reads the
// results.json that a job of any survey can write. Nothing in an output
// directory is trusted: every path is resolved beneath it.
package results

import (
	"context"
	"io"
)

// Record is one row for the common database with what hangs on it.
type Record struct {
	// Table is where the row goes.
	Table string
	// Values are its columns: int64, float64, string, bool or nil.
	Values map[string]any
	// Blobs are its columns that hold the bytes of a file.
	Blobs map[string]Blob
	// Refs are its columns that hold the key of a shared row: one that is
	// found by its Values, or made where there is none (versions, types).
	// A shared record has neither Blobs nor Children.
	Refs map[string]Record
	// Children are rows that belong to this one; they carry its key in a
	// column that the schema names.
	Children []Record
}

// Blob is the content of a file, read when it is needed.
type Blob struct {
	Name   string // path beneath the output directory
	Size   int64  // bytes
	SHA256 string // hex digest of the content
	// Open opens the content. The file is checked again against Size and
	// SHA256 by whoever reads it to the end.
	Open func() (io.ReadCloser, error)
}

// Source is what a reader is told about the results that it reads.
type Source struct {
	Dir         string            // the output directory
	Institution string            // where it was processed
	Pipeline    string            // the kind of pipeline
	Survey      string            // the name of the survey
	Version     string            // version number of all software that made it
	Metadata    map[string]string // of the job's input files
}

// Reader reads one form of output directory. Its errors say which file is
// wrong, where, and what would be right.
type Reader interface {
	Read(ctx context.Context, src Source) ([]Record, error)
}
