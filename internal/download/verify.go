package download

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"longhaul/internal/archive"
	"longhaul/internal/disk"
	"longhaul/internal/notice"
	"longhaul/internal/pipeline"
)

// newDigests prepares for a checksum as the archive offers it, "" for none.
func newDigests(checksum string) (*digests, error) {
	s := &digests{own: sha256.New()}
	if checksum == "" {
		return s, nil
	}
	h, want, err := archive.NewHash(checksum)
	if err != nil {
		return nil, err
	}
	s.offered, s.want = h, want
	return s, nil
}

// check compares the archive's checksum with that of the bytes that went by.
func (s *digests) check() error {
	if s.offered == nil {
		return nil
	}
	if got := hex.EncodeToString(s.offered.Sum(nil)); got != s.want {
		return fmt.Errorf("checksum is %s, the archive says %s", got, s.want)
	}
	return nil
}

// digest is what the tracker keeps of a verified file.
func (s *digests) digest() string { return "sha256:" + hex.EncodeToString(s.own.Sum(nil)) }

// digestsOf reads a whole file from the disk.
func digestsOf(path, checksum string) (*digests, int64, error) {
	s, err := newDigests(checksum)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	n, err := io.Copy(s, f)
	return s, n, err
}

// settle finds the transfers that the tracker believes to run and that do not:
// the daemon died in between. Their files are verified like any other.
func (d *Downloader) settle(ctx context.Context) error {
	attempts, err := d.Store.AttemptsIn(ctx, pipeline.Downloading)
	if err != nil {
		return err
	}
	for _, a := range attempts {
		if d.isActive(a.FileID) {
			continue
		}
		if err := d.interrupted(ctx, a, a.Bytes, "the downloader died meanwhile"); err != nil {
			return err
		}
	}
	return nil
}

// verifyAll verifies the files whose transfer ended and whose outcome was not
// recorded: interrupted ones, and those of a daemon that died before it could.
func (d *Downloader) verifyAll(ctx context.Context) error {
	for _, status := range []pipeline.Status{pipeline.Complete, pipeline.Unknown} {
		attempts, err := d.Store.AttemptsIn(ctx, status)
		if err != nil {
			return err
		}
		for _, a := range attempts {
			if d.isActive(a.FileID) {
				continue
			}
			f, err := d.Store.File(ctx, a.FileID)
			if err != nil {
				return err
			}
			if err := d.verify(ctx, f, a, nil); err != nil {
				return fmt.Errorf("verify file %d: %w", f.ID, err)
			}
		}
	}
	return nil
}

// verify decides whether what an attempt left is the file, gives it its final
// name if so, and records it. sums may be nil: then the file is read again.
func (d *Downloader) verify(ctx context.Context, f pipeline.File, a pipeline.Attempt, sums *digests) error {
	part := partPath(f)
	st, err := os.Lstat(part)
	if errors.Is(err, os.ErrNotExist) {
		return d.verifyFinal(ctx, f, a)
	} else if err != nil {
		return pipeline.Outage(pipeline.LocalDisk, err)
	}
	if st.Size() != f.Size {
		// An interrupted transfer is no fault of the file.
		kept := min(st.Size(), a.Offset+a.Bytes)
		return d.Store.VerificationFailed(ctx, a, kept,
			fmt.Sprintf("%d of %d bytes are here (%s)", kept, f.Size, a.Details), a.Status != pipeline.Unknown)
	}
	if sums == nil {
		if sums, _, err = digestsOf(part, f.Checksum); err != nil {
			return pipeline.Outage(pipeline.LocalDisk, err)
		}
	}
	if err := sums.check(); err != nil {
		return d.refuse(ctx, f, a, err)
	}
	return d.publish(ctx, f, a, part, sums.digest())
}

// refuse throws away bytes that are not the file's; the next attempt starts
// from the beginning.
func (d *Downloader) refuse(ctx context.Context, f pipeline.File, a pipeline.Attempt, why error) error {
	d.Log.Warn("download refused", "file", f.ID, "name", f.Filename, "attempt", a.ID, "err", why)
	if err := removePart(f); err != nil {
		return err
	}
	return d.Store.VerificationFailed(ctx, a, 0, why.Error(), true)
}

// publish gives a verified and synced part file its final name. A file of
// another origin that stands there is never replaced.
func (d *Downloader) publish(ctx context.Context, f pipeline.File, a pipeline.Attempt, part, digest string) error {
	switch there, _, err := digestsOf(f.Path, ""); {
	case errors.Is(err, os.ErrNotExist):
		if err := syncFile(part); err != nil {
			return pipeline.Outage(pipeline.LocalDisk, err)
		}
		if err := disk.Rename(part, f.Path); err != nil {
			return pipeline.Outage(pipeline.LocalDisk, err)
		}
	case err != nil:
		return pipeline.Outage(pipeline.LocalDisk, err)
	case there.digest() != digest:
		return d.refuse(ctx, f, a, fmt.Errorf("another file is in the way at %s; move it away", f.Path))
	default:
		if err := removePart(f); err != nil {
			return err
		}
	}
	return d.Store.FileVerified(ctx, a, digest)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// verifyFinal handles an attempt whose part file is gone: either the daemon
// died between the rename and its record, or somebody removed it.
func (d *Downloader) verifyFinal(ctx context.Context, f pipeline.File, a pipeline.Attempt) error {
	sums, n, err := digestsOf(f.Path, f.Checksum)
	if errors.Is(err, os.ErrNotExist) {
		return d.Store.VerificationFailed(ctx, a, 0, "nothing of it is here", a.Status != pipeline.Unknown)
	} else if err != nil {
		return pipeline.Outage(pipeline.LocalDisk, err)
	}
	if err := sums.check(); err != nil || n != f.Size {
		return d.Store.VerificationFailed(ctx, a, 0,
			fmt.Sprintf("another file is in the way at %s; move it away", f.Path), true)
	}
	return d.Store.FileVerified(ctx, a, sums.digest())
}

// giveUp ends the tries of a file, tells a person, and removes what is here of it.
func (d *Downloader) giveUp(ctx context.Context, f pipeline.File) error {
	d.Log.Error("file given up", "file", f.ID, "name", f.Filename, "attempts", f.Attempts, "err", f.Details)
	n := notice.FileGivenUp(notice.FileReport{File: f, Reason: f.Details, MaxAttempts: d.Config.NumRetries})
	if err := d.Store.GiveUpFile(ctx, f.ID, f.Details, n); err != nil {
		return err
	}
	return removePart(f)
}

func removePart(f pipeline.File) error {
	if err := os.Remove(partPath(f)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return pipeline.Outage(pipeline.LocalDisk, err)
	}
	return nil
}
