package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"longhaul/internal/config"
	"longhaul/internal/crashpoint"
	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
	"longhaul/internal/version"
)

// versionFile holds the version number of the software that made a results
// directory, in its first line; the original's name for it.
const versionFile = "version_number.txt"

// maxVersion is the longest version number, bytes: a dozen git hashes with names.
const maxVersion = 1000

// VersionNumber returns the version number of the software that made the
// results in dir. A job may have written it; otherwise it is computed from the
// template, once, and kept there. An error is an outage unless what the job
// wrote is to blame.
func VersionNumber(ctx context.Context, dir, template string) (string, error) {
	path := filepath.Join(dir, versionFile)
	text, err := readVersion(dir)
	if err == nil {
		if problem := versionProblem(text); problem != "" {
			return "", fmt.Errorf("%w: %s: its first line %s", errUnusable, path, problem)
		}
		return text, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	ver, err := config.ExpandVersionNum(template, version.Program(),
		func(dir string) (string, error) { return version.Git(ctx, dir) })
	if err != nil {
		// The results are innocent: a checkout that is missing, or not mounted.
		return "", pipeline.Outage(pipeline.LocalDisk, fmt.Errorf("upload.version_num: %w", err))
	}
	crashpoint.Reach(crashpoint.Version)
	err = disk.WriteFile(path, func(w io.Writer) error {
		_, err := io.WriteString(w, ver+"\n")
		return err
	})
	if err != nil {
		return "", held(err)
	}
	return ver, nil
}

// readVersion returns the first line of the file that a job may have written,
// without trusting it: it must be a regular file in dir, and only its beginning
// is read. The error is fs.ErrNotExist if there is none.
func readVersion(dir string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", held(err)
	}
	defer root.Close()
	seen, err := root.Lstat(versionFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fs.ErrNotExist
	case err != nil:
		return "", held(err)
	case !seen.Mode().IsRegular():
		return "", fmt.Errorf("%w: %s is no regular file", errUnusable, filepath.Join(dir, versionFile))
	}
	f, err := root.OpenFile(versionFile, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", held(err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !os.SameFile(seen, st) {
		return "", held(errors.Join(fmt.Errorf("%s was exchanged while it was opened", filepath.Join(dir, versionFile)), err))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxVersion+2)) // a longer line is seen to be one
	if err != nil {
		return "", held(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(first), nil
}

// versionProblem says what is wrong with a version number; "" if nothing is.
func versionProblem(text string) string {
	switch {
	case text == "":
		return "is empty, want a version number"
	case len(text) > maxVersion:
		return fmt.Sprintf("is longer than %d bytes", maxVersion)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "has bytes that cannot be printed"
	}
	return ""
}
