// Package archive has the clients of the remote place where raw data lives: the
// restore service, which brings data from tape to disk, and the file server,
// from which it is fetched.
//
// A client speaks its protocol and sorts the errors; when to ask, what to keep
// and how often to try is the downloader's business (package download). Names
// that come from a server are checked here before anybody else sees them.
package archive

import (
	"context"
	"errors"
	"io"
	"time"
)

// Errors by which the downloader decides. An error that wraps
// pipeline.ErrOutage means that the service or server could not be asked at
// all; any other error that is none of these counts as a failed attempt.
var (
	// ErrRefused: the restore service answered, and the answer is no.
	ErrRefused = errors.New("refused by the restore service")
	// ErrNoFile: the file server has no such file or directory.
	ErrNoFile = errors.New("no such file on the file server")
	// ErrChanged: the file is not the one that was listed.
	ErrChanged = errors.New("changed on the file server")
	// ErrLogin: the file server did not accept the user name or password. A
	// matter of configuration, but no fault of any file: it comes as an
	// outage, so that no attempt is used up.
	ErrLogin = errors.New("login refused by the file server")
	// ErrNoResume: the file server would not start from the offset asked for.
	// The file must be fetched from 0.
	ErrNoResume = errors.New("the file server cannot resume there")
	// ErrNoLink: the file cannot be had by a hard link, but perhaps by Fetch.
	ErrNoLink = errors.New("no hard link is possible")
)

// Restorer is the restore service.
type Restorer interface {
	// Restore asks for a number of observations and returns the GUID of the request.
	Restore(ctx context.Context, number, bits int, datatype string) (guid string, err error)
	// Location reports whether the files of a request are on the file server.
	// word is the service's own answer, for people.
	Location(ctx context.Context, guid string) (done bool, word string, err error)
	// Test asks the service to answer without restoring anything, both parts of it.
	Test(ctx context.Context) error
}

// Entry is one regular file in a listing.
type Entry struct {
	Name    string    // last element; checked by CheckName
	Size    int64     // bytes
	ModTime time.Time // zero if the server does not say
}

// Listing is the content of one directory.
type Listing struct {
	Entries []Entry
	// Refused are entries whose names could not be trusted, quoted, with the reason.
	Refused []string
}

// FileServer is where files are listed and fetched. It is safe for concurrent
// use; each Fetch has a connection of its own. servertest.Run is the
// specification.
type FileServer interface {
	// List returns the regular files in a directory.
	List(ctx context.Context, dir string) (Listing, error)
	// Stat returns the size and time of one file.
	Stat(ctx context.Context, path string) (Entry, error)
	// Fetch writes the file from an offset on to w, and returns when the
	// server has confirmed that it sent all of it. The number of bytes
	// written is right also when there is an error. It gives up when nothing
	// has moved for the idle time-out or the rate stays below the least rate.
	Fetch(ctx context.Context, path string, offset int64, w io.Writer) (n int64, err error)
	// Close ends idle connections.
	Close() error
}

// Linker is a FileServer whose files may be on a disk of this machine, so that
// one can be had without being copied.
type Linker interface {
	// Link gives a file a second name, which must not exist: then the error is
	// fs.ErrExist. Both names are the same file from then on, so that what is
	// written to one is written to the other: whoever links must never write.
	// ErrNoLink means that the two are on different disks, or that this user
	// may not.
	Link(ctx context.Context, path, to string) error
}
