package download

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"longhaul/internal/archive"
	"longhaul/internal/pipeline"
)

const (
	// maxFile is the largest size of a file that is believed, in bytes: sums
	// over the tracker must not overflow because of what a server says.
	maxFile = 1 << 44
	// sumsTries is how often the checksums of a directory are tried to read
	// before its files are taken without them.
	sumsTries = 3
)

// recognise sorts a listing into files to track and names to leave alone.
func (d *Downloader) recognise(dir string, l archive.Listing) (files []pipeline.File, left []string) {
	for _, e := range l.Entries {
		if archive.IsChecksumFile(e.Name) {
			continue
		}
		switch m, ok := d.Products.Recognise(e.Name); {
		case !ok:
			left = append(left, e.Name+" (no product)")
		case m.Ignored != "":
			left = append(left, e.Name+" ("+m.Ignored+")")
		case e.Size > maxFile:
			left = append(left, fmt.Sprintf("%s (a size of %d bytes is not believed)", e.Name, e.Size))
		default:
			files = append(files, pipeline.File{
				Filename: e.Name, RemoteFilename: path.Join(dir, e.Name), Path: filepath.Join(d.Config.Temp, e.Name),
				Size: e.Size, ModTime: e.ModTime,
				Product: m.Product, GroupKey: m.GroupKey, Metadata: m.Metadata,
			})
		}
	}
	return files, append(left, l.Refused...)
}

// addChecksums gives the files the checksums that their directory offers.
// trouble is what could not be read of them; err is an outage, or the end of ctx.
func (d *Downloader) addChecksums(ctx context.Context, dir string, l archive.Listing, files []pipeline.File) (trouble, err error) {
	names := make(map[string]bool, len(files))
	for _, f := range files {
		names[f.Filename] = true
	}
	sums, err := archive.Checksums(ctx, d.Server, dir, about(l, names))
	if ctx.Err() != nil || errors.Is(err, pipeline.ErrOutage) {
		return nil, err
	}
	if err != nil {
		trouble = fmt.Errorf("its checksums cannot be read: %w", err)
		d.Log.Warn("checksums cannot be read", "directory", dir, "err", err)
	}
	for i, f := range files {
		files[i].Checksum = sums[f.Filename]
	}
	return trouble, nil
}

// sumsAgain reports whether checksums that could not be read are to be tried
// again, and counts.
func (d *Downloader) sumsAgain(dir string) bool {
	if d.sumsTried[dir]++; d.sumsTried[dir] < sumsTries {
		return true
	}
	delete(d.sumsTried, dir)
	return false
}

// about returns what a listing has of some files and of their checksums.
func about(l archive.Listing, names map[string]bool) archive.Listing {
	var some archive.Listing
	for _, e := range l.Entries {
		of := strings.TrimSuffix(strings.TrimSuffix(e.Name, ".sha256"), ".md5")
		if names[e.Name] || archive.IsChecksumFile(e.Name) && (of == e.Name || names[of]) {
			some.Entries = append(some.Entries, e)
		}
	}
	return some
}

// look asks the server about a file before it is fetched. It returns the file
// as it is there now, and whether that is another than was listed: then nothing
// that is here of it is of use.
func (d *Downloader) look(ctx context.Context, f pipeline.File) (now pipeline.File, changed bool, err error) {
	e, err := d.Server.Stat(ctx, f.RemoteFilename)
	if err != nil {
		return f, false, err
	}
	now = f
	now.Size = e.Size
	if !e.ModTime.IsZero() {
		now.ModTime = e.ModTime
		changed = !f.ModTime.IsZero() && !f.ModTime.Equal(e.ModTime)
	}
	changed = changed || e.Size != f.Size
	if e.Size > maxFile {
		return f, false, fmt.Errorf("a size of %d bytes is not believed", e.Size)
	}
	again := f.Attempts > 0 || f.Bytes > 0
	if !changed && !(again && f.Checksum != "") {
		return now, false, nil
	}
	sum, err := d.checksumOf(ctx, f)
	if err != nil {
		return f, false, err
	}
	if changed || sum != "" && sum != f.Checksum {
		now.Checksum = sum
		return now, true, nil
	}
	return now, false, nil
}

// checksumOf returns the checksum that the archive offers for a file now, ""
// if there is none that can be read.
func (d *Downloader) checksumOf(ctx context.Context, f pipeline.File) (string, error) {
	dir := path.Dir(f.RemoteFilename)
	listing, err := d.Server.List(ctx, dir)
	if errors.Is(err, archive.ErrNoFile) {
		return "", nil // it can be fetched, but its directory cannot be listed
	} else if err != nil {
		return "", err
	}
	one := []pipeline.File{f}
	if _, err := d.addChecksums(ctx, dir, listing, one); err != nil {
		return "", err
	}
	return one[0].Checksum, nil
}
