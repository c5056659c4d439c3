package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"longhaul/internal/archive"
	"longhaul/internal/pipeline"
)

// lastWord is how long the outcome of a transfer may take to be written down,
// also while the daemon is being stopped.
const lastWord = 30 * time.Second

// transfer fetches one file and brings it to its end. Its errors are outcomes
// of the file, written down; what cannot be written down is left to settle.
func (d *Downloader) transfer(ctx context.Context, f pipeline.File, a pipeline.Attempt) {
	defer d.Wake()
	defer d.ended(f.ID)
	log := d.Log.With("file", f.ID, "name", f.Filename, "attempt", a.ID)
	started := d.Now()
	n, sums, err := d.fetch(ctx, f, a)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	d.learn(f.ID, n, err)
	took := d.Now().Sub(started).Round(time.Millisecond)
	if err != nil {
		log.Warn("transfer broke off", "bytes", n, "of", f.Size-a.Offset, "took", took, "err", err)
	} else {
		log.Info("transfer ended", "bytes", n, "of", f.Size-a.Offset, "took", took)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	if err = d.outcome(ctx, f, a, n, sums, err); err != nil {
		log.Error("download not recorded; it is settled in the next pass", "err", err)
	}
}

func (d *Downloader) ended(id pipeline.FileID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.active, id)
}

// outcome writes down how a transfer ended.
func (d *Downloader) outcome(ctx context.Context, f pipeline.File, a pipeline.Attempt, n int64, sums *digests, err error) error {
	switch {
	case err == nil:
		if err := d.Store.EndTransfer(ctx, a, pipeline.Complete, n, "the file server says that this was all"); err != nil {
			return err
		}
		a.Status, a.Bytes = pipeline.Complete, n
		return d.verify(ctx, f, a, sums)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return d.interrupted(ctx, a, n, "stopped")
	case errors.Is(err, pipeline.ErrOutage):
		return d.interrupted(ctx, a, n, err.Error())
	case errors.Is(err, archive.ErrNoFile):
		return d.Store.FailTransfer(ctx, a, pipeline.NoRemoteFile, n, err.Error(), true)
	case errors.Is(err, archive.ErrNoResume), errors.Is(err, archive.ErrChanged):
		if err := d.interrupted(ctx, a, n, err.Error()); err != nil {
			return err
		}
		a.Status, a.Bytes = pipeline.Unknown, n
		return d.refuse(ctx, f, a, err, errors.Is(err, archive.ErrChanged))
	}
	return d.Store.FailTransfer(ctx, a, pipeline.DownloadFailed, n, err.Error(), true)
}

// interrupted ends a transfer through no fault of its file. What came is found
// out by looking at the part file, in the next pass.
func (d *Downloader) interrupted(ctx context.Context, a pipeline.Attempt, n int64, why string) error {
	return d.Store.EndTransfer(ctx, a, pipeline.Unknown, n, why)
}

// fetch appends to the part file what is missing. It returns how many bytes of
// it are on the disk for good, and the digests of the whole file.
func (d *Downloader) fetch(ctx context.Context, f pipeline.File, a pipeline.Attempt) (n int64, sums *digests, err error) {
	part, err := openRegular(PartPath(f), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return 0, nil, diskError(err)
	}
	defer func() { err = errors.Join(err, part.Close()) }()
	if sums, err = newDigests(f.Checksum); err != nil {
		return 0, nil, err
	}
	if err := d.rewind(ctx, part, a.Offset, sums); err != nil {
		return 0, nil, pipeline.Outage(pipeline.LocalDisk, err)
	}
	w := &partWriter{ctx: ctx, d: d, attempt: a, file: part, sums: sums, limit: f.Size - a.Offset, last: d.Now()}
	if w.limit > 0 {
		err = d.fetchTo(ctx, w, f, a.Offset)
	}
	if syncErr := w.sync(); syncErr != nil {
		err = syncErr
	}
	return w.synced, sums, err
}

// rewind makes a part file end where the download goes on, and reads what is
// there into the digests.
func (d *Downloader) rewind(ctx context.Context, part *os.File, offset int64, sums *digests) error {
	if err := part.Truncate(offset); err != nil {
		return err
	}
	_, err := io.Copy(sums, steadyReader{ctx, part, func() {}})
	return err // the file is at its end now
}

// fetchTo fetches from the file server. A transfer that breaks may be the first
// sign of an outage, so the server is asked once more before the file is blamed.
func (d *Downloader) fetchTo(ctx context.Context, w *partWriter, f pipeline.File, offset int64) error {
	_, err := d.Server.Fetch(ctx, f.RemoteFilename, offset, w)
	switch {
	case w.failed != nil:
		return w.failed
	case err == nil, ctx.Err() != nil, errors.Is(err, pipeline.ErrOutage), errors.Is(err, archive.ErrNoFile),
		errors.Is(err, archive.ErrNoResume), errors.Is(err, archive.ErrChanged):
		return err
	}
	if _, probe := d.Server.Stat(ctx, f.RemoteFilename); errors.Is(probe, pipeline.ErrOutage) {
		return fmt.Errorf("%w; and then: %w", err, probe)
	}
	return err
}
