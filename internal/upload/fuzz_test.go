package upload_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"longhaul/internal/upload"
)

// FuzzVersionNumber: whatever a job writes, a version number is one printable
// line, or the file is blamed.
func FuzzVersionNumber(f *testing.F) {
	f.Add([]byte("PRESTO:abc;PIPELINE:def\n"))
	f.Add([]byte(""))
	f.Add([]byte("\n\nx"))
	f.Add([]byte("\x7fELF\x00"))
	f.Add([]byte(strings.Repeat("é", 600)))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "version_number.txt")
		if err := os.WriteFile(path, text, 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := upload.VersionNumber(t.Context(), dir, "never used")
		switch {
		case err != nil && (got != "" || !strings.Contains(err.Error(), path)):
			t.Errorf("%q: %q, %v", text, got, err)
		case err == nil && (got == "" || len(got) > 1000 || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) })):
			t.Errorf("%q becomes %q", text, got)
		}
	})
}
