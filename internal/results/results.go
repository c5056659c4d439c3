// Package results reads what a finished job left in its output directory and
// turns it into a tree of records that the common database can hold.
//
// A Reader knows one form of output: manifest (this package) reads the
// results.json that a job of any survey can write. Nothing in an output
// directory is trusted: every path is resolved beneath it.
package results

import (
	"context"
	"errors"
	"io"
)

// ErrInvalid: what the output directory holds is not what its reader reads, or
// has changed while it was read. Reading it again cannot help; the job fails.
var ErrInvalid = errors.New("results not usable")

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
	// Open opens the content. The file may have changed since Size and SHA256
	// were taken; ReadAll checks them again.
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
// wrong, where, and what would be right: ErrInvalid when the results are to
// blame, pipeline.ErrOutage when the disk does not answer.
type Reader interface {
	Read(ctx context.Context, src Source) ([]Record, error)
}
