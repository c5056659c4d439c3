package download

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
	"longhaul/internal/rawdata"
)

// mounted makes sure that the download directory is the one that it was: a disk
// that is not mounted looks like an empty directory, and what came would go to
// the wrong one. A directory that nothing was ever put into gets the marker,
// and so does one that has lost it but not its files.
func (d *Downloader) mounted(ctx context.Context) error {
	missing := rawdata.Check(d.Config.Temp)
	if !errors.Is(missing, disk.ErrNoMarker) {
		return missing
	}
	known, err := d.inHand(ctx)
	if err != nil {
		return err
	}
	there := slices.ContainsFunc(known, func(f pipeline.File) bool { return exists(f.Path) || exists(PartPath(f)) })
	if !there {
		used, err := d.lastWasHere(ctx)
		if err != nil {
			return err
		}
		if used || len(known) > 0 {
			return missing
		}
	}
	d.Log.Info("download directory marked", "path", d.Config.Temp)
	return rawdata.Mark(d.Config.Temp)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// inHand returns the files that could have bytes in the download directory.
func (d *Downloader) inHand(ctx context.Context) ([]pipeline.File, error) {
	all, err := d.Store.FilesToDelete(ctx)
	if err != nil {
		return nil, err
	}
	for _, status := range []pipeline.Status{pipeline.Downloading, pipeline.Unverified, pipeline.Failed,
		pipeline.Retrying, pipeline.Downloaded, pipeline.Added} {
		files, err := d.Store.FilesIn(ctx, status)
		if err != nil {
			return nil, err
		}
		all = append(all, files...)
	}
	return slices.DeleteFunc(all, func(f pipeline.File) bool { return !d.isHere(f) }), nil
}

// isHere reports whether a file belongs into the download directory.
func (d *Downloader) isHere(f pipeline.File) bool {
	return filepath.Dir(f.Path) == filepath.Clean(d.Config.Temp)
}

// lastWasHere reports whether the last file that was fetched was put into the
// download directory: then it has had its marker, even if all is deleted now.
func (d *Downloader) lastWasHere(ctx context.Context) (bool, error) {
	const page = 100 // what operators added is passed over, and is seldom so much
	for before := int64(0); ; {
		files, err := d.Store.Files(ctx, jobtracker.Filter{Before: before, Limit: page, Statuses: []pipeline.Status{
			pipeline.Deleted, pipeline.TerminalFailure, pipeline.Downloaded}})
		if err != nil {
			return false, err
		}
		for _, f := range files {
			if f.RemoteFilename != "" {
				return d.isHere(f), nil
			}
			before = int64(f.ID)
		}
		if len(files) < page {
			return false, nil
		}
	}
}
