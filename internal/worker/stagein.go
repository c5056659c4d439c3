package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"longhaul/internal/disk"
)

// copyBlock is how much is copied between two looks at the context, bytes.
const copyBlock = 1 << 20

// stageIn copies the inputs to the workspace and returns the copies' paths.
func stageIn(ctx context.Context, inputs []string, ws *workspace) (copies []string, err error) {
	sizes, err := inputSizes(inputs)
	if err != nil {
		return nil, err
	}
	var need int64
	for _, size := range sizes {
		need += size
	}
	if err := checkSpace(ws.dir, need, "the input"); err != nil {
		return nil, err
	}
	taken := make(map[string]bool)
	for i, path := range inputs {
		dir, name := ws.data(), filepath.Base(path)
		if taken[name] { // from another directory
			if dir, err = os.MkdirTemp(dir, "same-name."); err != nil {
				return nil, failed(StatusWorkspace, err)
			}
		}
		taken[name] = true
		to := filepath.Join(dir, name)
		if err := copyIn(ctx, path, to, sizes[i]); err != nil {
			return nil, err
		}
		copies = append(copies, to)
	}
	return copies, nil
}

// inputSizes finds what is wrong with any input before the first is copied.
func inputSizes(inputs []string) ([]int64, error) {
	var sizes []int64
	var errs []error
	for _, path := range inputs {
		st, err := os.Stat(path)
		if err == nil && !st.Mode().IsRegular() {
			err = &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
		}
		if err != nil {
			errs = append(errs, missingInput(err, path))
			continue
		}
		sizes = append(sizes, st.Size())
	}
	if len(errs) > 0 {
		return nil, worst(fmt.Errorf("input: %w", errors.Join(errs...)), errs)
	}
	return sizes, nil
}

// worst gives several troubles one status: that of the site if all are the
// site's, or else that of the first which is not. An input that is certainly
// wrong does not become right with the disk of another.
func worst(err error, all []error) error {
	var first, t *trouble
	for _, e := range all {
		if errors.As(e, &t) && (first == nil || SiteFault(first.status) && !SiteFault(t.status)) {
			first = t
		}
	}
	return &trouble{first.status, err}
}

// copyIn copies one input and checks that the copy is what the input is.
func copyIn(ctx context.Context, from, to string, size int64) error {
	src, err := os.Open(from)
	if err != nil {
		return missingInput(err, from)
	}
	defer src.Close()
	before, err := src.Stat()
	if err != nil {
		return failed(StatusInput, err)
	}
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, disk.FileMode)
	if err != nil {
		return failed(StatusWorkspace, err)
	}
	n, readErr, writeErr := copyAll(ctx, dst, src)
	writeErr = errors.Join(writeErr, dst.Close())
	switch {
	case readErr != nil:
		return failed(StatusInput, fmt.Errorf("copy %s: %w", from, readErr))
	case writeErr != nil:
		return failed(StatusWorkspace, fmt.Errorf("copy %s: %w", from, writeErr))
	}
	after, err := os.Stat(from)
	if err != nil {
		return missingInput(err, from)
	}
	if n != size || after.Size() != size || !after.ModTime().Equal(before.ModTime()) || !os.SameFile(before, after) {
		return failed(StatusInput, fmt.Errorf("%s changed while it was copied: it had %d bytes, %d were read, now it has %d", from, size, n, after.Size()))
	}
	copied, err := os.Stat(to)
	if err != nil {
		return failed(StatusWorkspace, err)
	}
	if copied.Size() != size {
		return failed(StatusWorkspace, fmt.Errorf("the copy %s has %d bytes, want %d", to, copied.Size(), size))
	}
	return nil
}

// copyAll copies until the end of from or of ctx, and tells which side failed.
func copyAll(ctx context.Context, to io.Writer, from io.Reader) (n int64, readErr, writeErr error) {
	buf := make([]byte, copyBlock)
	for {
		if ctx.Err() != nil {
			return n, context.Cause(ctx), nil
		}
		m, err := from.Read(buf)
		if m > 0 {
			if _, err := to.Write(buf[:m]); err != nil {
				return n, nil, err
			}
			n += int64(m)
		}
		if errors.Is(err, io.EOF) {
			return n, nil, nil
		} else if err != nil {
			return n, err, nil
		}
	}
}
