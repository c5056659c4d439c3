package results

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"longhaul/internal/pipeline"
)

// maxNameLength bounds the path of a file beneath the output directory, bytes.
const maxNameLength = 4096

// FileBlob describes the file name beneath dir as a blob: it takes its size
// and digest, and Open opens it anew. The file must be regular, reached
// through no symbolic link, and at most limit bytes. Errors are ErrInvalid,
// pipeline.ErrOutage, or that of ctx.
func FileBlob(ctx context.Context, dir, name string, limit int64) (Blob, error) {
	f, err := openRegular(dir, name)
	if err != nil {
		return Blob{}, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil {
		return Blob{}, readError(ctx, filepath.Join(dir, name), err)
	} else if st.Size() > limit {
		return Blob{}, tooLarge(dir, name, limit)
	}
	h := sha256.New()
	n, err := io.Copy(h, contextReader{ctx, io.LimitReader(f, limit+1)})
	if err != nil {
		return Blob{}, readError(ctx, filepath.Join(dir, name), err)
	}
	if n > limit { // it grows
		return Blob{}, tooLarge(dir, name, limit)
	}
	return Blob{
		Name:   name,
		Size:   n,
		SHA256: hex.EncodeToString(h.Sum(nil)),
		Open:   func() (io.ReadCloser, error) { return openRegular(dir, name) },
	}, nil
}

// ReadAll returns the content of b. It is ErrInvalid if that is no longer what
// Size and SHA256 say.
func (b Blob) ReadAll(ctx context.Context) ([]byte, error) {
	r, err := b.Open()
	if err != nil {
		return nil, readError(ctx, b.Name, err)
	}
	defer r.Close()
	data := make([]byte, b.Size)
	in := contextReader{ctx, r}
	if _, err := io.ReadFull(in, data); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("%w: %q has become shorter than the %d bytes it had", ErrInvalid, b.Name, b.Size)
	} else if err != nil {
		return nil, readError(ctx, b.Name, err)
	}
	if n, err := io.ReadFull(in, make([]byte, 1)); n > 0 {
		return nil, fmt.Errorf("%w: %q has become longer than the %d bytes it had", ErrInvalid, b.Name, b.Size)
	} else if !errors.Is(err, io.EOF) {
		return nil, readError(ctx, b.Name, err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != b.SHA256 {
		return nil, fmt.Errorf("%w: %q has changed since it was first read: its SHA-256 was %s, is %x", ErrInvalid, b.Name, b.SHA256, sum)
	}
	return data, nil
}

func tooLarge(dir, name string, limit int64) error {
	return fmt.Errorf("%w: %q is larger than the %d bytes allowed", ErrInvalid, filepath.Join(dir, name), limit)
}

// Open opens the file name beneath dir as FileBlob does, for reading.
func Open(dir, name string) (io.ReadCloser, error) { return openRegular(dir, name) }

// ReadFile returns the content of the file name beneath dir, which must be a
// regular one of at most limit bytes. Its errors are those of FileBlob.
func ReadFile(ctx context.Context, dir, name string, limit int64) ([]byte, error) {
	f, err := openRegular(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(contextReader{ctx, io.LimitReader(f, limit+1)})
	if err != nil {
		return nil, readError(ctx, f.Name(), err)
	}
	if int64(len(data)) > limit {
		return nil, tooLarge(dir, name, limit)
	}
	return data, nil
}

// ReadError sorts an error from reading a file that Open opened, as FileBlob does.
func ReadError(ctx context.Context, shown string, err error) error { return readError(ctx, shown, err) }

// openRegular opens a regular file beneath dir. A symbolic link is refused even
// where it stays inside: what it points to may belong to another record, or
// change. Nothing here can block on a pipe or leave dir.
func openRegular(dir, name string) (*os.File, error) {
	shown := filepath.Join(dir, name)
	if err := checkName(name); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, openError("output directory "+dir, err)
	}
	defer root.Close()
	var seen fs.FileInfo
	for i := 0; i < len(name); {
		end := strings.IndexByte(name[i:], '/') + i
		if end < i {
			end = len(name)
		}
		if seen, err = root.Lstat(name[:end]); err != nil {
			return nil, openError(shown, err)
		}
		if last := end == len(name); last && !seen.Mode().IsRegular() || !last && !seen.IsDir() {
			return nil, fmt.Errorf("%w: %q is %s; it must be a regular file, reached without symbolic links",
				ErrInvalid, path.Join(filepath.ToSlash(dir), name[:end]), kindOf(seen.Mode()))
		}
		i = end + 1
	}
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, openError(shown, err)
	}
	if now, err := f.Stat(); err != nil {
		return nil, errors.Join(openError(shown, err), f.Close())
	} else if !os.SameFile(seen, now) {
		return nil, errors.Join(fmt.Errorf("%w: %q was exchanged while it was opened", ErrInvalid, shown), f.Close())
	}
	return f, nil
}

// checkName refuses a name that is not the plain path of a file beneath a directory.
func checkName(name string) error {
	switch {
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: file name %q is not UTF-8", ErrInvalid, name)
	case len(name) > maxNameLength:
		return fmt.Errorf("%w: file name of %d bytes; at most %d are allowed", ErrInvalid, len(name), maxNameLength)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%w: file name %q has control characters", ErrInvalid, name)
	case name == "." || !fs.ValidPath(name):
		return fmt.Errorf("%w: file name %q must be a relative path beneath the output directory, with neither . nor .. in it", ErrInvalid, name)
	}
	return nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m.IsDir():
		return "a directory"
	case m.IsRegular():
		return "a regular file"
	default:
		return "a special file (" + m.Type().String() + ")"
	}
}

// openError sorts why a file could not be opened. The cause stays visible, so
// that a caller can tell a missing directory (errors.Is(err, fs.ErrNotExist)),
// which may be a disk that is not mounted.
func openError(shown string, err error) error {
	if outage(err) {
		return pipeline.Outage(pipeline.LocalDisk, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrInvalid, shown, err)
}

// readError sorts why a file could not be read to its end.
func readError(ctx context.Context, shown string, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("read %q: %w", shown, err)
	case errors.Is(err, ErrInvalid), errors.Is(err, pipeline.ErrOutage):
		return err
	}
	return openError(shown, err)
}

// outage reports whether err is about the disk or this process rather than
// about one file.
func outage(err error) bool {
	for _, e := range []error{
		unix.EIO, unix.ESTALE, unix.ENOTCONN, unix.ETIMEDOUT, unix.EHOSTDOWN, unix.ENODEV, unix.ENXIO,
		unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EAGAIN,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// contextReader stops reading when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
