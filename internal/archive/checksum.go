package archive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"longhaul/internal/pipeline"
)

// maxSums is the longest file of checksums that is read, bytes: enough for a
// hundred thousand names.
const maxSums = 16 << 20

var errSumsTooLong = fmt.Errorf("longer than %d bytes", maxSums)

// IsChecksumFile reports whether a name is that of a file of checksums:
// SHA256SUMS, MD5SUMS, or a sidecar, NAME.sha256 or NAME.md5.
func IsChecksumFile(name string) bool {
	_, sidecar := sidecarOf(name)
	return sidecar || name == "SHA256SUMS" || name == "MD5SUMS"
}

// sidecarOf returns the name of the file whose checksum a sidecar holds.
func sidecarOf(name string) (of string, ok bool) {
	for _, suffix := range []string{".sha256", ".md5"} {
		if of, ok = strings.CutSuffix(name, suffix); ok && of != "" {
			return of, true
		}
	}
	return "", false
}

// Checksums fetches the files of checksums in a listing of dir and returns a
// map from the names of listed files to their checksums, as in
// pipeline.File.Checksum. SHA-256 is preferred to MD5; a sum that contradicts
// another of the same kind is an error.
//
// An outage and the end of ctx are returned at once. Any other error is about
// single files of checksums, and the map holds what the others say.
func Checksums(ctx context.Context, server FileServer, dir string, listing Listing) (map[string]string, error) {
	listed := make(map[string]bool, len(listing.Entries))
	for _, e := range listing.Entries {
		listed[e.Name] = true
	}
	sums := make(map[string]string)
	var problems []error
	for _, e := range listing.Entries {
		of, sidecar := sidecarOf(e.Name)
		if !IsChecksumFile(e.Name) || (sidecar && !listed[of]) {
			continue
		}
		found, err := fetchSums(ctx, server, dir, e)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		} else if errors.Is(err, pipeline.ErrOutage) {
			return nil, err
		}
		problems = append(problems, err, adopt(sums, found, e.Name, listed))
	}
	return sums, errors.Join(problems...)
}

// fetchSums fetches and reads one file of checksums.
func fetchSums(ctx context.Context, server FileServer, dir string, e Entry) (map[string]string, error) {
	if e.Size > maxSums {
		return nil, fmt.Errorf("checksums in %s: %w", quote(e.Name), errSumsTooLong)
	}
	text := &limitedBuffer{most: maxSums, over: errSumsTooLong}
	if _, err := server.Fetch(ctx, path.Join(dir, e.Name), 0, text); err != nil {
		return nil, fmt.Errorf("checksums in %s: %w", quote(e.Name), err)
	}
	sums, err := ParseSums(&text.buf)
	if err != nil {
		err = fmt.Errorf("checksums in %s: %w", quote(e.Name), err)
	}
	return sums, err
}

// adopt enters those sums which are of listed files. A sidecar speaks of its
// own file alone, with or without its name, and with whatever directory.
func adopt(sums, found map[string]string, source string, listed map[string]bool) error {
	of, sidecar := sidecarOf(source)
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(found)) {
		sum := found[name]
		switch {
		case sidecar && (name == "" || path.Base(name) == of):
			name = of
		case sidecar:
			problems = append(problems, fmt.Errorf("checksums in %s: is about another file, %s", quote(source), quote(name)))
			continue
		default:
			name = strings.TrimPrefix(name, "./")
		}
		if !listed[name] {
			continue
		}
		if err := enter(sums, name, sum); err != nil {
			problems = append(problems, fmt.Errorf("checksums in %s: %w", quote(source), err))
		}
	}
	return errors.Join(problems...)
}
