package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"longhaul/internal/crashpoint"
	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
)

// settle finds the transfers that the tracker believes to run and that do not:
// the daemon died in between. Their files are verified like any other.
func (d *Downloader) settle(ctx context.Context) error {
	running := d.running()
	attempts, err := d.Store.AttemptsIn(ctx, pipeline.Downloading)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range attempts {
		if !running[a.FileID] {
			errs = append(errs, d.interrupted(ctx, a, a.Bytes, "the downloader died meanwhile"))
		}
	}
	return errors.Join(errs...)
}

// verifyAll verifies the files whose transfer ended and whose outcome was not
// recorded: interrupted ones, and those of a daemon that died before it could.
func (d *Downloader) verifyAll(ctx context.Context) error {
	running := d.running()
	var errs []error
	for _, status := range []pipeline.Status{pipeline.Complete, pipeline.Unknown} {
		attempts, err := d.Store.AttemptsIn(ctx, status)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, a := range attempts {
			if running[a.FileID] {
				continue
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			f, err := d.Store.File(ctx, a.FileID)
			if err == nil {
				err = d.verify(ctx, f, a, nil)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("verify file %d: %w", a.FileID, err))
			}
		}
	}
	return errors.Join(errs...)
}

// verify decides whether what an attempt left is the file, gives it its final
// name if so, and records it. sums may be nil: then the file is read again.
func (d *Downloader) verify(ctx context.Context, f pipeline.File, a pipeline.Attempt, sums *digests) error {
	size, exists, err := partSize(f)
	if err != nil {
		return err
	}
	if !exists {
		return d.verifyFinal(ctx, f, a)
	}
	// What the tracker does not know of may not have been synced, and be gone or
	// nothing but zeros after a crash of the machine.
	if kept := min(size, a.Offset+a.Bytes); size != f.Size || kept < f.Size {
		if err := cutPart(f, size, kept); err != nil {
			return err
		}
		// An interrupted transfer is no fault of the file.
		return d.Store.VerificationFailed(ctx, a, kept,
			fmt.Sprintf("%d of %d bytes are here (%s)", kept, f.Size, a.Details), a.Status != pipeline.Unknown)
	}
	if sums == nil {
		if sums, err = d.digestsOf(ctx, PartPath(f), f.Checksum); err != nil {
			return err
		}
	}
	if err := sums.check(); err != nil {
		return d.refuse(ctx, f, a, err, true)
	}
	return d.publish(ctx, f, a, sums.digest())
}

// refuse throws away bytes that are not the file's; the next attempt starts
// from the beginning.
func (d *Downloader) refuse(ctx context.Context, f pipeline.File, a pipeline.Attempt, why error, counts bool) error {
	d.Log.Warn("download refused", "file", f.ID, "name", f.Filename, "attempt", a.ID, "err", why)
	if err := removePart(f); err != nil {
		return err
	}
	return d.Store.VerificationFailed(ctx, a, 0, why.Error(), counts)
}

// publish gives a verified part file its final name. The digest is written down
// first: by it the file is known again after a crash in between, even when the
// archive offers no checksum. What stands there already is never replaced.
func (d *Downloader) publish(ctx context.Context, f pipeline.File, a pipeline.Attempt, digest string) error {
	if err := d.Store.KeepDigest(ctx, a, digest); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.Rename)
	err := disk.RenameNew(PartPath(f), f.Path)
	if errors.Is(err, fs.ErrExist) {
		err = d.meet(ctx, f, digest)
	} else {
		err = diskError(err)
	}
	switch {
	case errors.Is(err, pipeline.ErrOutage), ctx.Err() != nil:
		return err
	case err != nil: // what came is kept: it is verified again when the way is free
		return d.Store.VerificationFailed(ctx, a, f.Size, err.Error(), true)
	}
	return d.verified(ctx, f, a, digest)
}

// meet handles a part file whose final name is taken. The same bytes there, as
// a crash or an operator leaves them, are the file.
func (d *Downloader) meet(ctx context.Context, f pipeline.File, digest string) error {
	same, err := d.isFinal(ctx, f, digest)
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("%s: %w", f.Path, errInTheWay)
	}
	return removePart(f)
}

// verifyFinal handles an attempt whose part file is gone: either the daemon
// died between the rename and its record, or somebody removed it.
func (d *Downloader) verifyFinal(ctx context.Context, f pipeline.File, a pipeline.Attempt) error {
	same, err := d.isFinal(ctx, f, f.Digest)
	if err != nil {
		return err
	}
	if !same {
		return d.Store.VerificationFailed(ctx, a, 0, "nothing of it is here", a.Status != pipeline.Unknown)
	}
	return d.verified(ctx, f, a, f.Digest)
}

func (d *Downloader) verified(ctx context.Context, f pipeline.File, a pipeline.Attempt, digest string) error {
	if err := d.Store.FileVerified(ctx, a, digest); err != nil {
		return err
	}
	d.Log.Info("file downloaded", "file", f.ID, "name", f.Filename, "attempt", a.ID, "size", f.Size)
	return nil
}

// isFinal reports whether a regular file with a certain digest stands at the
// final place of a file.
func (d *Downloader) isFinal(ctx context.Context, f pipeline.File, digest string) (bool, error) {
	if digest == "" {
		return false, nil
	}
	st, err := os.Lstat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, diskError(err)
	case !st.Mode().IsRegular(), st.Size() != f.Size:
		return false, nil
	}
	sums, err := d.digestsOf(ctx, f.Path, "")
	if err != nil {
		return false, err
	}
	return sums.digest() == digest, nil
}

// digestsOf reads a whole file from the disk.
func (d *Downloader) digestsOf(ctx context.Context, path, checksum string) (*digests, error) {
	sums, err := newDigests(checksum)
	if err != nil {
		return nil, err
	}
	f, err := openRegular(path, os.O_RDONLY)
	if err != nil {
		return nil, diskError(err)
	}
	defer f.Close()
	_, err = io.Copy(sums, steadyReader{ctx, f, d.Progress})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	} else if err != nil {
		return nil, diskError(err)
	}
	return sums, nil
}
