package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"longhaul/internal/disk"
)

// item is one thing that the command left in its results directory.
type item struct {
	path string // relative to the results directory
	mode fs.FileMode
	size int64 // of a file, bytes
}

// prepareOutput finds out before hours of computing whether the results will
// have a place.
func prepareOutput(outDir string) error {
	if err := resultsMounted(outDir); err != nil {
		return err
	}
	if err := disk.MakeDir(filepath.Dir(outDir)); err != nil {
		return failed(StatusOutput, err)
	}
	if _, err := os.Lstat(outDir); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s exists already: results are never replaced", outDir)
		}
		return failed(StatusOutput, err)
	}
	return nil
}

// stageOut makes a copy of the results directory appear at outDir, whole and
// on the disk, or leaves nothing.
func stageOut(ctx context.Context, results, outDir string) (err error) {
	src, err := os.OpenRoot(results)
	if err != nil {
		return failed(StatusResults, err)
	}
	defer src.Close()
	items, err := survey(src)
	if err != nil {
		return err
	}
	if err := resultsMounted(outDir); err != nil { // hours later
		return err
	}
	parent := filepath.Dir(outDir)
	if err := checkSpace(parent, totalSize(items), "what the command left"); err != nil {
		return err
	}
	partial, err := os.MkdirTemp(parent, "."+filepath.Base(outDir)+".partial.")
	if err != nil {
		return failed(StatusOutput, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeTree(partial))
		}
	}()
	if err := copyOut(ctx, src, items, partial); err != nil {
		return err
	}
	if err := appear(ctx, partial, outDir); err != nil {
		return failed(StatusOutput, err)
	}
	return nil
}

// survey lists the results, directories before what is in them, and refuses
// them if there are none or if they are more than files.
func survey(src *os.Root) ([]item, error) {
	var items []item
	var walk func(dir string) error
	walk = func(dir string) error {
		d, err := src.Open(dir)
		if err != nil {
			return err
		}
		names, err := d.Readdirnames(-1)
		if err := errors.Join(err, d.Close()); err != nil {
			return err
		}
		for _, name := range names {
			it, err := inspect(src, filepath.Join(dir, name))
			if err != nil {
				return err
			}
			items = append(items, it)
			if it.mode.IsDir() {
				if err := walk(it.path); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := walk("."); err != nil {
		return nil, failed(StatusResults, fmt.Errorf("results: %w", err))
	}
	for _, it := range items {
		if it.mode.IsRegular() {
			return items, nil
		}
	}
	return nil, failed(StatusResults, errors.New("results: the command succeeded but left no file in OUTDIR"))
}

// inspect looks at one name in the results.
func inspect(src *os.Root, path string) (item, error) {
	st, err := src.Lstat(path)
	if err != nil {
		return item{}, err
	}
	switch mode := st.Mode(); {
	case mode.IsRegular(), mode.IsDir():
	case mode.Type() == fs.ModeSymlink:
		// The root follows it, and refuses to be led out.
		if _, err := src.Stat(path); err != nil {
			return item{}, fmt.Errorf("the symbolic link %s leads to nothing in OUTDIR: %w", path, err)
		}
	default:
		return item{}, fmt.Errorf("%s is neither a file nor a directory (%v)", path, mode)
	}
	return item{path, st.Mode(), st.Size()}, nil
}

func totalSize(items []item) (total int64) {
	for _, it := range items {
		if it.mode.IsRegular() {
			total += it.size
		}
	}
	return total
}

// copyOut copies the items to the directory to, durably.
func copyOut(ctx context.Context, src *os.Root, items []item, to string) error {
	dst, err := os.OpenRoot(to)
	if err != nil {
		return failed(StatusOutput, err)
	}
	defer dst.Close()
	dirs := []string{"."}
	for _, it := range items {
		switch {
		case it.mode.IsDir():
			dirs = append(dirs, it.path)
			err = dst.Mkdir(it.path, disk.DirMode)
		case it.mode.IsRegular():
			err = copyItem(ctx, src, dst, it)
		default:
			err = copyLink(src, dst, it.path)
		}
		if err != nil {
			return failed(StatusOutput, fmt.Errorf("copy the results: %w", err))
		}
	}
	for _, dir := range dirs {
		if err := finishDir(dst, dir); err != nil {
			return failed(StatusOutput, fmt.Errorf("copy the results: %w", err))
		}
	}
	return nil
}

// copyItem copies one file, durably.
func copyItem(ctx context.Context, src, dst *os.Root, it item) error {
	from, err := src.Open(it.path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := dst.OpenFile(it.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, disk.FileMode)
	if err != nil {
		return err
	}
	n, readErr, writeErr := copyAll(ctx, to, from)
	if err := errors.Join(readErr, writeErr, to.Chmod(disk.FileMode), to.Sync(), to.Close()); err != nil {
		return fmt.Errorf("%s: %w", it.path, err)
	}
	if n != it.size {
		return fmt.Errorf("%s changed while it was copied: it had %d bytes, %d were read", it.path, it.size, n)
	}
	return nil
}

// copyLink makes the same link again; it leads to the copy of what it led to.
func copyLink(src, dst *os.Root, path string) error {
	target, err := src.Readlink(path)
	if err != nil {
		return err
	}
	return dst.Symlink(target, path)
}

// finishDir makes the names in a directory durable.
func finishDir(dst *os.Root, dir string) error {
	d, err := dst.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Chmod(disk.DirMode), d.Sync(), d.Close())
}

// appear renames partial to outDir, which must not exist.
func appear(ctx context.Context, partial, outDir string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// The results are there: if this fails, they may be gone after a power
	// failure, so that the job must not count as done.
	return disk.RenameNew(partial, outDir)
}
