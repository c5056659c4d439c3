package download

import (
	"context"
	"errors"
	"fmt"

	"longhaul/internal/archive"
	"longhaul/internal/pipeline"
)

// start begins as many downloads as there are slots and space for, unless
// downloads are paused. Those that run go on to their end.
func (d *Downloader) start(ctx context.Context) error {
	slots := d.slots()
	if slots <= 0 {
		return nil
	}
	if held, err := d.held(ctx); held || err != nil {
		return err
	}
	due, err := d.Store.DueFiles(ctx, slots)
	if err != nil {
		return err
	}
	for _, f := range due {
		d.Progress()
		begun, err := d.begin(ctx, f)
		if err != nil {
			return fmt.Errorf("file %d %s: %w", f.ID, f.Filename, err)
		}
		if !begun {
			return nil
		}
	}
	return nil
}

// begin looks at a file on the server, writes an attempt down, and fetches it
// in the background. It returns false if there is no space. The server is asked
// before anything is written down, so that an outage marks no file.
func (d *Downloader) begin(ctx context.Context, f pipeline.File) (begun bool, err error) {
	if space := d.Config.SpaceToUse; f.Size > int64(space) {
		return true, d.fail(ctx, f, pipeline.DownloadFailed, fmt.Sprintf("it has %d bytes, more than space_to_use (%s)", f.Size, space))
	}
	offset, err := resumeAt(f)
	if err != nil {
		return false, err
	}
	if fits, err := d.fits(ctx, f, f.Size-offset); !fits {
		return false, err
	}
	now, changed, err := d.look(ctx, f)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, pipeline.ErrOutage):
		return false, err
	case errors.Is(err, archive.ErrNoFile):
		return true, d.fail(ctx, f, pipeline.NoRemoteFile, "the file server has no "+f.RemoteFilename)
	case err != nil:
		return true, d.fail(ctx, f, pipeline.DownloadFailed, err.Error())
	case changed:
		return true, d.relist(ctx, f, now)
	}
	a, err := d.Store.StartAttempt(ctx, now, offset)
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	d.active[f.ID] = len(d.of) > 0
	d.mu.Unlock()
	d.Log.Info("download starts", "file", f.ID, "name", f.Filename, "size", f.Size, "offset", offset, "attempt", a.ID)
	d.wg.Go(func() { d.transfer(ctx, now, a) })
	return true, nil
}

// fail writes down an attempt that ended before any byte came.
func (d *Downloader) fail(ctx context.Context, f pipeline.File, as pipeline.Status, why string) error {
	d.Log.Warn("download cannot start", "file", f.ID, "name", f.Filename, "err", why)
	a, err := d.Store.StartAttempt(ctx, f, f.Bytes)
	if err != nil {
		return err
	}
	defer d.Wake() // its slot is free for another
	return d.Store.FailTransfer(ctx, a, as, 0, why, true)
}

// relist takes over how a file looks on the server now. It is begun in the next
// pass, since it may need more space than it did.
func (d *Downloader) relist(ctx context.Context, f, now pipeline.File) error {
	d.Log.Warn("file changed on the server; starting from the beginning", "file", f.ID, "name", f.Filename,
		"old_size", f.Size, "new_size", now.Size, "old_time", f.ModTime, "new_time", now.ModTime,
		"old_checksum", f.Checksum, "new_checksum", now.Checksum)
	if err := removePart(f); err != nil {
		return err
	}
	defer d.Wake()
	return d.Store.RelistFile(ctx, now)
}
