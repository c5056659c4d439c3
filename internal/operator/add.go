package operator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"longhaul/internal/archive"
	"longhaul/internal/pipeline"
)

// Addition is what add-files found: the files to track, and those to leave alone.
type Addition struct {
	Files []pipeline.File
	Left  []LeftAlone
}

// LeftAlone is a file that is not added.
type LeftAlone struct {
	Path string
	Why  string
	// Named is whether the operator named this very file, and not a directory
	// or a pattern that happens to cover it.
	Named bool
}

// candidate is a file that may be added.
type candidate struct {
	path  string
	named bool
}

// FindFiles looks at files, at the files in directories, and at what patterns
// match, and decides which of them can be tracked. It changes nothing.
func (o *Operator) FindFiles(ctx context.Context, paths, globs []string) (Addition, error) {
	candidates, err := candidates(paths, globs)
	if err != nil {
		return Addition{}, err
	}
	var a Addition
	batch := make(map[string]string) // file name → path
	for _, c := range candidates {
		if err := ctx.Err(); err != nil {
			return a, err
		}
		f, why, err := o.judge(ctx, c.path)
		if err != nil {
			return a, err
		}
		if first, twice := batch[f.Filename]; why == "" && twice {
			if first == c.path {
				continue // named twice
			}
			why = "another file of this name is added: " + first
		}
		if why != "" {
			a.Left = append(a.Left, LeftAlone{c.path, why, c.named})
			continue
		}
		batch[f.Filename] = c.path
		a.Files = append(a.Files, f)
	}
	return a, nil
}

// candidates lists the files that are meant, with absolute paths.
func candidates(paths, globs []string) ([]candidate, error) {
	var all []candidate
	for _, p := range paths {
		some, err := expand(p)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	for _, g := range globs {
		matches, err := filepath.Glob(g)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", g, err)
		}
		if len(matches) == 0 {
			return nil, fmt.Errorf("pattern %q matches nothing", g)
		}
		for _, m := range matches {
			abs, err := filepath.Abs(m)
			if err != nil {
				return nil, err
			}
			all = append(all, candidate{path: abs})
		}
	}
	return all, nil
}

// expand returns a file itself, or the files in a directory; those of
// directories below it are not meant.
func expand(path string) ([]candidate, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		return []candidate{{path, true}}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var all []candidate
	for _, e := range entries {
		if !e.IsDir() {
			all = append(all, candidate{path: filepath.Join(path, e.Name())})
		}
	}
	return all, nil
}

// judge makes the row of a file, or says why there should be none.
func (o *Operator) judge(ctx context.Context, path string) (f pipeline.File, why string, err error) {
	name := filepath.Base(path)
	if err := archive.CheckName(name); err != nil {
		return f, err.Error(), nil
	}
	m, ok := o.products.Recognise(name)
	switch {
	case !ok:
		return f, "no product has such names", nil
	case m.Ignored != "":
		return f, m.Ignored, nil
	}
	if why := unfit(path); why != "" {
		return f, why, nil
	}
	size, why := readableSize(path)
	if why != "" {
		return f, why, nil
	}
	known, err := o.Store.FileByName(ctx, name)
	if err == nil && known.Status != pipeline.Deleted {
		return f, fmt.Sprintf("tracked already, as file %d, which is %s", known.ID, known.Status), nil
	} else if err != nil && !errors.Is(err, pipeline.ErrNotFound) {
		return f, "", err
	}
	return pipeline.File{Filename: name, Path: path, Size: size,
		Product: m.Product, GroupKey: m.GroupKey, Metadata: m.Metadata}, "", nil
}

// unfit says why jobs could not be given a path: they get all of theirs in one
// variable.
func unfit(path string) string {
	if strings.ContainsRune(path, ';') {
		return "its path contains ';', which separates the paths in DATAFILES"
	}
	if strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return "its path has characters that cannot be printed"
	}
	return ""
}

// readableSize returns the size of a regular file that can be read.
func readableSize(path string) (size int64, why string) {
	st, err := os.Lstat(path)
	switch {
	case err != nil:
		return 0, err.Error()
	case st.Mode()&os.ModeSymlink != 0:
		return 0, "it is a symbolic link; name the file it leads to"
	case !st.Mode().IsRegular():
		return 0, "it is no regular file"
	case st.Size() == 0:
		return 0, "it is empty"
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, err.Error()
	}
	if err := f.Close(); err != nil {
		return 0, err.Error()
	}
	return st.Size(), ""
}

// AddFiles tracks files that FindFiles found, all of them or none.
func (o *Operator) AddFiles(ctx context.Context, files []pipeline.File, reason string) error {
	if len(files) == 0 {
		return nil
	}
	return o.Store.AddFiles(ctx, files, reason)
}
