package download

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"longhaul/internal/archive"
	"longhaul/internal/crashpoint"
	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
)

// maxName is the longest name that the usual file systems take, in bytes.
const maxName = 255

// PartPath returns where a file grows while it is fetched: beside its final
// place, under a name that no product and no archive can have. A name that is
// too long to be added to is replaced by its digest.
func PartPath(f pipeline.File) string {
	name := "." + f.Filename + ".part"
	if len(name) > maxName {
		sum := sha256.Sum256([]byte(f.Filename))
		name = "." + hex.EncodeToString(sum[:]) + ".part"
	}
	return filepath.Join(filepath.Dir(f.Path), name)
}

// errInTheWay: something that is not ours has the name that we need. It is
// never replaced.
var errInTheWay = errors.New("something else is in the way; move it away")

// diskError sorts an error of this disk. One that is about a single name fails
// the attempt to get that file; any other is an outage.
func diskError(err error) error {
	if errors.Is(err, errInTheWay) || errors.Is(err, unix.ENAMETOOLONG) {
		return err
	}
	return pipeline.Outage(pipeline.LocalDisk, err)
}

// openRegular opens a file that is regular. It follows no link and waits for no pipe.
func openRegular(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, disk.FileMode)
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO): // link, directory, socket
		return nil, fmt.Errorf("%s: %w", path, errInTheWay)
	case err != nil:
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", path, errInTheWay)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// partSize returns how large the part file of a file is, 0 if there is none.
// Anything else under its name is no part file.
func partSize(f pipeline.File) (size int64, exists bool, err error) {
	st, err := os.Lstat(PartPath(f))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENAMETOOLONG):
		return 0, false, nil
	case err != nil:
		return 0, false, diskError(err)
	case !st.Mode().IsRegular():
		return 0, false, nil
	}
	return st.Size(), true, nil
}

// resumeAt returns from which byte on a download goes on: what was synced to
// the part file by the last word of the tracker, and is still there.
func resumeAt(f pipeline.File) (int64, error) {
	size, _, err := partSize(f)
	return min(size, f.Bytes, f.Size), err
}

// removePart removes a part file, and nothing else that has its name.
func removePart(f pipeline.File) error {
	_, exists, err := partSize(f)
	if err != nil || !exists {
		return err
	}
	crashpoint.Reach(crashpoint.PartRemove)
	if err := os.Remove(PartPath(f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskError(err)
	}
	return nil
}

// cutPart shortens a part file of some size to what is kept of it, so that the
// disk holds no more than the tracker counts while the file waits for its next
// attempt: the room may be another file's by then.
func cutPart(f pipeline.File, size, kept int64) error {
	if kept >= size {
		return nil
	}
	part, err := openRegular(PartPath(f), os.O_WRONLY)
	if err != nil {
		return diskError(err)
	}
	if err := errors.Join(part.Truncate(kept), part.Close()); err != nil {
		return pipeline.Outage(pipeline.LocalDisk, err)
	}
	return nil
}

// partWriter writes to the part file, keeps the digests, and once a second
// syncs and tells the tracker.
type partWriter struct {
	ctx     context.Context
	d       *Downloader
	attempt pipeline.Attempt
	file    *os.File
	sums    *digests
	limit   int64 // bytes that are still missing; more is not this file
	n       int64 // written
	synced  int64 // written and synced
	last    time.Time
	failed  error // what this side said, which is not the server's fault
}

func (w *partWriter) Write(p []byte) (int, error) {
	if w.n+int64(len(p)) > w.limit {
		return 0, fmt.Errorf("%w: it is longer than the %d bytes that were listed", archive.ErrChanged, w.attempt.Offset+w.limit)
	}
	n, err := w.d.write(w.file, p)
	w.n += int64(n)
	w.sums.Write(p[:n])
	if err == nil {
		if now := w.d.Now(); now.Sub(w.last) >= time.Second {
			w.last = now
			err = w.checkpoint()
		}
	}
	w.failed = err
	return n, err
}

// checkpoint makes what is here durable before the tracker says so.
func (w *partWriter) checkpoint() error {
	if err := w.sync(); err != nil {
		return err
	}
	return w.d.Store.Progress(w.ctx, w.attempt, w.n)
}

func (w *partWriter) sync() error {
	crashpoint.Reach(crashpoint.PartSync)
	if err := w.file.Sync(); err != nil {
		return pipeline.Outage(pipeline.LocalDisk, err)
	}
	w.synced = w.n
	return nil
}

// steadyReader reads a long file, ends with its context, and shows between
// blocks that it gets somewhere.
type steadyReader struct {
	ctx  context.Context
	r    io.Reader
	beat func()
}

func (s steadyReader) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	s.beat()
	return s.r.Read(p)
}
