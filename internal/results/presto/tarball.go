package presto

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"longhaul/internal/pipeline"
	"longhaul/internal/results"
)

// mostMembers bounds the files in a tarball.
const mostMembers = 1_000_000

// walk reads a .tgz file once and calls visit with each regular file in it. The
// names are those of files; a tarball with directories is none of ours.
func (d directory) walk(name string, visit func(name string, size int64, r io.Reader) error) error {
	f, err := results.Open(d.path, name)
	if err != nil {
		return err
	}
	defer f.Close()
	disk := &remembering{ctx: d.ctx, r: f}
	err = walkTar(disk, visit)
	switch {
	case err == nil, errors.Is(err, results.ErrInvalid), errors.Is(err, pipeline.ErrOutage):
		return err
	case disk.err != nil:
		return results.ReadError(d.ctx, filepath.Join(d.path, name), disk.err)
	}
	return d.invalid(name, "the tarball is damaged: %w", err)
}

func walkTar(r io.Reader, visit func(string, int64, io.Reader) error) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	t := tar.NewReader(z)
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			// The checksum of what was compressed stands at the very end.
			_, err = io.Copy(io.Discard, z)
			return err
		}
		switch {
		case err != nil:
			return err
		case n == mostMembers:
			return fmt.Errorf("it has more than %d members", mostMembers)
		case h.Typeflag != tar.TypeReg:
			continue
		}
		name := strings.TrimPrefix(h.Name, "./")
		if name != filepath.Base(name) {
			return fmt.Errorf("%q in it has a directory in its name", h.Name)
		}
		if err := visit(name, h.Size, t); err != nil {
			return err
		}
	}
}

// remembering reads from a disk and keeps its error, which tells a disk that
// fails from a tarball that is damaged.
type remembering struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (r *remembering) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		r.err = err
		return 0, err
	}
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// unpack takes the wanted members out of a tarball, in one go, and returns them
// as blobs. They lie in one temporary file that has no name any more, and is
// gone when nothing refers to them.
func (d directory) unpack(tarball string, wanted map[string]bool) (map[string]results.Blob, error) {
	spool, err := os.CreateTemp("", "longhaul-pfd-")
	if err != nil {
		return nil, pipeline.Outage(pipeline.LocalDisk, fmt.Errorf("unpack %s: %w", tarball, err))
	}
	if err := os.Remove(spool.Name()); err != nil {
		return nil, errors.Join(pipeline.Outage(pipeline.LocalDisk, err), spool.Close())
	}
	blobs := make(map[string]results.Blob)
	var at int64
	err = d.walk(tarball, func(name string, size int64, r io.Reader) error {
		if !wanted[name] {
			return nil
		}
		if _, twice := blobs[name]; twice {
			return d.invalid(tarball, "it has %s twice", name)
		}
		if size > d.maxBlob {
			return d.invalid(tarball, "%s in it is larger than the %d bytes allowed", name, d.maxBlob)
		}
		sum := sha256.New()
		n, err := io.Copy(writer{spool}, io.TeeReader(r, sum))
		if err != nil {
			return err
		}
		from := at
		at += n
		blobs[name] = results.Blob{
			Name: name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil)),
			Open: func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(spool, from, n)), nil },
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, spool.Close())
	}
	return blobs, nil
}

// writer marks the errors of the spool, which are not the tarball's.
type writer struct{ f *os.File }

func (w writer) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	if err != nil {
		err = pipeline.Outage(pipeline.LocalDisk, fmt.Errorf("directory for temporary files: %w", err))
	}
	return n, err
}
