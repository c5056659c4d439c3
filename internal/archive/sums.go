package archive

import (
	"bufio"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"unicode/utf8"
)

// The two kinds of checksum that are understood, as they begin in
// pipeline.File.Checksum.
const (
	prefixSHA256 = "sha256:"
	prefixMD5    = "md5:"
)

// NewHash returns the hash that a checksum ("sha256:<hex>" or "md5:<hex>") is
// to be checked with, and the sum to be found, in lower-case hexadecimal.
func NewHash(checksum string) (h hash.Hash, wantHex string, err error) {
	switch {
	case strings.HasPrefix(checksum, prefixSHA256):
		h, wantHex = sha256.New(), checksum[len(prefixSHA256):]
	case strings.HasPrefix(checksum, prefixMD5):
		h, wantHex = md5.New(), checksum[len(prefixMD5):]
	default:
		return nil, "", fmt.Errorf("checksum %s is neither sha256 nor md5", quote(checksum))
	}
	if b, err := hex.DecodeString(wantHex); err != nil || len(b) != h.Size() {
		return nil, "", fmt.Errorf("checksum %s: not %d hexadecimal digits", quote(checksum), 2*h.Size())
	}
	return h, strings.ToLower(wantHex), nil
}

// ParseSums reads a file of checksums, as sha256sum and md5sum write it
// ("hex  name", "hex *name", or "SHA256 (name) = hex"), or a bare sum, which is
// returned under the empty name. It returns a map from name to checksum, with
// SHA-256 preferred where a name has both.
//
// Names are as in the file and may be paths; escaped ones are refused. When
// some lines cannot be read, the error says so and the map holds the others.
func ParseSums(r io.Reader) (map[string]string, error) {
	sums := make(map[string]string)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	bad := 0
	var first error
	for n := 1; lines.Scan(); n++ {
		err := enterLine(sums, strings.TrimRight(lines.Text(), " \t\r"))
		if err == nil {
			continue
		}
		if bad++; bad == 1 {
			first = fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return sums, fmt.Errorf("read checksums: %w", err)
	}
	if bad > 0 {
		return sums, fmt.Errorf("%d bad lines, the first is %w", bad, first)
	}
	return sums, nil
}

// enterLine reads one line, which may be empty or a comment.
func enterLine(sums map[string]string, line string) error {
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	name, sum, err := parseSum(line)
	if err != nil {
		return err
	}
	return enter(sums, name, sum)
}

// enter adds a sum unless it contradicts an earlier one.
func enter(sums map[string]string, name, sum string) error {
	old, known := sums[name]
	switch {
	case !known, strings.HasPrefix(old, prefixMD5) && strings.HasPrefix(sum, prefixSHA256):
		sums[name] = sum
	case strings.HasPrefix(old, prefixSHA256) && strings.HasPrefix(sum, prefixMD5), old == sum:
	default:
		return fmt.Errorf("second, different checksum of %s", quote(name))
	}
	return nil
}

// parseSum reads one line that has a checksum in it.
func parseSum(line string) (name, sum string, err error) {
	switch {
	case strings.HasPrefix(line, `\`):
		return "", "", errors.New("escaped name")
	case !utf8.ValidString(line):
		return "", "", errors.New("not valid UTF-8")
	}
	for label, prefix := range map[string]string{"SHA256 (": prefixSHA256, "MD5 (": prefixMD5} {
		if rest, ok := strings.CutPrefix(line, label); ok {
			return parseBSD(rest, prefix)
		}
	}
	digits, rest, named := strings.Cut(line, " ")
	if sum, err = withPrefix(digits); err != nil {
		return "", "", err
	}
	if !named {
		return "", sum, nil
	}
	// A blank or a star tells how the file was read, which is the same here.
	if len(rest) < 2 || (rest[0] != ' ' && rest[0] != '*') {
		return "", "", errors.New("no name after the sum")
	}
	return rest[1:], sum, nil
}

// parseBSD reads the rest of "SHA256 (name) = hex", from the name on.
func parseBSD(rest, prefix string) (name, sum string, err error) {
	end := strings.LastIndex(rest, ") = ")
	if end < 1 {
		return "", "", errors.New("no name in brackets and sum")
	}
	sum, err = withPrefix(rest[end+len(") = "):])
	if err == nil && !strings.HasPrefix(sum, prefix) {
		err = errors.New("sum is not of the kind that it is said to be")
	}
	return rest[:end], sum, err
}

// withPrefix tells the kind of a sum by its length.
func withPrefix(digits string) (string, error) {
	b, err := hex.DecodeString(digits)
	switch {
	case err != nil:
		return "", errors.New("no checksum in hexadecimal")
	case len(b) == sha256.Size:
		return prefixSHA256 + strings.ToLower(digits), nil
	case len(b) == md5.Size:
		return prefixMD5 + strings.ToLower(digits), nil
	}
	return "", fmt.Errorf("sum of %d digits is neither SHA-256 nor MD5", len(digits))
}
