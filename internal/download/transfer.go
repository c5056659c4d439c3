package download

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"longhaul/internal/archive"
	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
)

type spaceInUse = jobtracker.Space

// start begins as many downloads as there are slots and space for. The first
// question to the file server is asked here, before anything is written down,
// so that an outage marks no file.
func (d *Downloader) start(ctx context.Context) error {
	slots := d.Config.NumDownloads - d.Active()
	if slots <= 0 {
		return nil
	}
	due, err := d.Store.DueFiles(ctx, slots)
	if err != nil {
		return err
	}
	for _, f := range due {
		if d.isActive(f.ID) {
			continue
		}
		fits, err := d.fits(ctx, f)
		if err != nil || !fits {
			return err
		}
		if err := d.begin(ctx, f); err != nil {
			return fmt.Errorf("file %d %s: %w", f.ID, f.Filename, err)
		}
	}
	return nil
}

// fits reports whether there is space for the rest of a file, and says once
// when there is not.
func (d *Downloader) fits(ctx context.Context, f pipeline.File) (bool, error) {
	sp, err := d.Store.Space(ctx)
	if err != nil {
		return false, err
	}
	room, err := d.room(sp)
	if err != nil {
		return false, err
	}
	if f.Size-f.Bytes <= room {
		d.saidFull = false
		return true, nil
	}
	if !d.saidFull {
		d.saidFull = true
		d.Log.Warn("no space for the next download; waiting until raw data is deleted",
			"file", f.Filename, "needs_bytes", f.Size-f.Bytes, "room_bytes", room,
			"space_to_use", d.Config.SpaceToUse, "min_free_space", d.Config.MinFreeSpace)
	}
	return false, nil
}

// begin looks at the file on the server, writes the attempt down, and fetches
// it in the background.
func (d *Downloader) begin(ctx context.Context, f pipeline.File) error {
	e, err := d.Server.Stat(ctx, f.RemoteFilename)
	if err != nil && !errors.Is(err, archive.ErrNoFile) {
		return err
	}
	gone := err != nil
	if !gone {
		if f, err = d.sameAsListed(ctx, f, e); err != nil {
			return err
		}
	}
	offset, err := resumeAt(partPath(f), f)
	if err != nil {
		return err
	}
	a, err := d.Store.StartAttempt(ctx, f, offset)
	if err != nil {
		return err
	}
	if gone {
		return d.Store.FailTransfer(ctx, a, pipeline.NoRemoteFile, 0, "the file server has no "+f.RemoteFilename, true)
	}
	d.mu.Lock()
	d.active[f.ID] = a
	d.mu.Unlock()
	d.Log.Info("download starts", "file", f.ID, "name", f.Filename, "size", f.Size, "offset", offset, "attempt", a.ID)
	d.wg.Go(func() { d.transfer(ctx, f, a) })
	return nil
}

// sameAsListed compares a file on the server with its listing. If it changed,
// what was fetched of it is thrown away and the new size holds.
func (d *Downloader) sameAsListed(ctx context.Context, f pipeline.File, e archive.Entry) (pipeline.File, error) {
	sameTime := f.ModTime.IsZero() || e.ModTime.IsZero() || f.ModTime.Equal(e.ModTime)
	if e.Size == f.Size && sameTime {
		return f, nil
	}
	dir := path.Dir(f.RemoteFilename)
	listing, err := d.Server.List(ctx, dir)
	if err != nil {
		return f, err
	}
	sums, err := archive.Checksums(ctx, d.Server, dir, listing)
	if err != nil {
		return f, err
	}
	if err := removePart(f); err != nil {
		return f, err
	}
	d.Log.Warn("file changed on the server; starting from the beginning",
		"file", f.ID, "name", f.Filename, "old_size", f.Size, "new_size", e.Size)
	f.Size, f.ModTime, f.Checksum, f.Bytes = e.Size, e.ModTime, sums[f.Filename], 0
	return f, d.Store.RelistFile(ctx, f)
}

// partPath is where a file grows: beside its final place, under a name that no
// product and no archive can have.
func partPath(f pipeline.File) string {
	return filepath.Join(filepath.Dir(f.Path), "."+f.Filename+".part")
}

// resumeAt returns from which byte on a download goes on: what was synced to
// the part file by the last word of the tracker, and is still there.
func resumeAt(part string, f pipeline.File) (int64, error) {
	st, err := os.Lstat(part)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, pipeline.Outage(pipeline.LocalDisk, err)
	}
	if !st.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file; remove it", part)
	}
	if at := min(st.Size(), f.Bytes); at <= f.Size {
		return at, nil
	}
	return 0, nil
}

// transfer fetches one file and brings it to its end. Its errors are outcomes
// of the file, written down; what cannot be written down is left to settle.
func (d *Downloader) transfer(ctx context.Context, f pipeline.File, a pipeline.Attempt) {
	defer d.Wake()
	defer func() {
		d.mu.Lock()
		delete(d.active, f.ID)
		d.mu.Unlock()
	}()
	started := d.Now()
	n, sums, err := d.fetch(ctx, f, &a)
	// The outcome is written also while the daemon is being stopped.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	log := d.Log.With("file", f.ID, "name", f.Filename, "attempt", a.ID, "bytes", n)
	if err = d.outcome(ctx, f, a, n, sums, err); err != nil {
		log.Error("download not recorded; it is settled in the next pass", "err", err)
		return
	}
	log.Info("download ended", "took", d.Now().Sub(started).Round(time.Millisecond))
}

// outcome writes down how a transfer ended.
func (d *Downloader) outcome(ctx context.Context, f pipeline.File, a pipeline.Attempt, n int64, sums *digests, err error) error {
	switch {
	case err == nil:
		if err := d.Store.EndTransfer(ctx, a, pipeline.Complete, n, "all bytes are here"); err != nil {
			return err
		}
		a.Status, a.Bytes = pipeline.Complete, n
		return d.verify(ctx, f, a, sums)
	case errors.Is(err, context.Canceled):
		return d.interrupted(ctx, a, n, "stopped")
	case errors.Is(err, pipeline.ErrOutage):
		d.mu.Lock()
		d.outage = err
		d.mu.Unlock()
		return d.interrupted(ctx, a, n, err.Error())
	case errors.Is(err, archive.ErrNoFile):
		return d.Store.FailTransfer(ctx, a, pipeline.NoRemoteFile, n, err.Error(), true)
	}
	return d.Store.FailTransfer(ctx, a, pipeline.DownloadFailed, n, err.Error(), true)
}

func (d *Downloader) interrupted(ctx context.Context, a pipeline.Attempt, n int64, why string) error {
	return d.Store.EndTransfer(ctx, a, pipeline.Unknown, n, why)
}

// fetch appends to the part file what is missing. It returns how many bytes of
// it are on the disk for good, and the digests of the whole file.
func (d *Downloader) fetch(ctx context.Context, f pipeline.File, a *pipeline.Attempt) (n int64, _ *digests, err error) {
	part, err := os.OpenFile(partPath(f), os.O_RDWR|os.O_CREATE, disk.FileMode)
	if err != nil {
		return 0, nil, pipeline.Outage(pipeline.LocalDisk, err)
	}
	defer func() { err = errors.Join(err, part.Close()) }()
	sums, err := newDigests(f.Checksum)
	if err != nil {
		return 0, nil, err
	}
	if err := part.Truncate(a.Offset); err != nil {
		return 0, nil, pipeline.Outage(pipeline.LocalDisk, err)
	}
	if _, err := io.Copy(sums, io.NewSectionReader(part, 0, a.Offset)); err != nil {
		return 0, nil, err
	}
	if _, err := part.Seek(a.Offset, io.SeekStart); err != nil {
		return 0, nil, err
	}
	w := &partWriter{ctx: ctx, d: d, attempt: *a, file: part, sums: sums, limit: f.Size - a.Offset, last: d.Now()}
	if f.Size > a.Offset {
		_, err = d.Server.Fetch(ctx, f.RemoteFilename, a.Offset, w)
	}
	if w.failed != nil {
		err = w.failed
	}
	if syncErr := part.Sync(); syncErr != nil {
		return w.synced, nil, pipeline.Outage(pipeline.LocalDisk, syncErr)
	}
	return w.n, sums, err
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
	failed  error // what this disk said, which is not the server's fault
}

func (w *partWriter) Write(p []byte) (int, error) {
	if w.n+int64(len(p)) > w.limit {
		return 0, fmt.Errorf("%w: it is longer than the %d bytes that were listed", archive.ErrChanged, w.attempt.Offset+w.limit)
	}
	n, err := w.file.Write(p)
	w.n += int64(n)
	w.sums.Write(p[:n])
	if err != nil {
		w.failed = pipeline.Outage(pipeline.LocalDisk, err)
		return n, w.failed
	}
	if now := w.d.Now(); now.Sub(w.last) >= time.Second {
		w.last = now
		w.failed = w.checkpoint()
	}
	return n, w.failed
}

// checkpoint makes what is here durable before the tracker says so.
func (w *partWriter) checkpoint() error {
	if err := w.file.Sync(); err != nil {
		return pipeline.Outage(pipeline.LocalDisk, err)
	}
	w.synced = w.n
	return w.d.Store.Progress(w.ctx, w.attempt, w.n)
}

// digests are the checksums of a file as it goes by: ours, and the archive's.
type digests struct {
	own     hash.Hash // SHA-256
	offered hash.Hash // nil if the archive offers none, or the same
	want    string    // hex, as offered
}

func (s *digests) Write(p []byte) (int, error) {
	s.own.Write(p)
	if s.offered != nil {
		s.offered.Write(p)
	}
	return len(p), nil
}
