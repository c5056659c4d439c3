package upload_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"longhaul/internal/pipeline"
	"longhaul/internal/upload"
)

func TestAVersionNumberThatAJobWrote(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1000)
	for _, tt := range []struct{ name, text, want, problem string }{
		{"is taken", "PRESTO:abc;PIPELINE:def\n", "PRESTO:abc;PIPELINE:def", ""},
		{"needs no newline", " PRESTO:abc ", "PRESTO:abc", ""},
		{"is its first line, however long the file is", "PRESTO:abc\n" + strings.Repeat("more\n", 1<<20), "PRESTO:abc", ""},
		{"may be long", long, long, ""},
		{"may not be longer", long + "y", "", "is longer than 1000 bytes"},
		{"may not be huge", strings.Repeat("x", 1<<24), "", "is longer than 1000 bytes"},
		{"may not be empty", "", "", "is empty"},
		{"may not have its first line empty", "\nPRESTO:abc\n", "", "is empty"},
		{"may not be binary", "\x7fELF\x00\x01\n", "", "cannot be printed"},
		{"may not have bytes that are no text", "PRESTO:\xff\n", "", "cannot be printed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "version_number.txt")
			if err := os.WriteFile(path, []byte(tt.text), 0o640); err != nil {
				t.Fatal(err)
			}
			got, err := upload.VersionNumber(t.Context(), dir, "never used")
			if got != tt.want || (err != nil) != (tt.problem != "") {
				t.Fatalf("%.50q, %v; want %.50q", got, err, tt.want)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.problem) || !strings.Contains(err.Error(), path) || errors.Is(err, pipeline.ErrOutage)) {
				t.Errorf("%v, want %q with the path, and no outage", err, tt.problem)
			}
			if now, err := os.ReadFile(path); err != nil || string(now) != tt.text {
				t.Errorf("the job's own file was changed (%v)", err)
			}
		})
	}
}

func TestAVersionFileThatIsNoFile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		make func(path string) error
	}{
		{"a symbolic link out of the results", func(p string) error { return os.Symlink("/etc/hostname", p) }},
		{"a symbolic link within the results", func(p string) error { return os.Symlink("other.txt", p) }},
		{"a symbolic link to nothing", func(p string) error { return os.Symlink("nothing", p) }},
		{"a directory", func(p string) error { return os.Mkdir(p, 0o750) }},
		{"a named pipe that nobody writes to", func(p string) error { return syscall.Mkfifo(p, 0o640) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := errors.Join(os.WriteFile(filepath.Join(dir, "other.txt"), []byte("1\n"), 0o640), tt.make(filepath.Join(dir, "version_number.txt"))); err != nil {
				t.Fatal(err)
			}
			got, err := upload.VersionNumber(t.Context(), dir, "PIPELINE:1")
			if err == nil || errors.Is(err, pipeline.ErrOutage) {
				t.Errorf("%q, %v; want an error that blames the results", got, err)
			}
		})
	}
}

// git runs git in a directory.
func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@b.invalid"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

func TestAVersionNumberIsComputedOnce(t *testing.T) {
	t.Parallel()
	repo, dir := t.TempDir(), t.TempDir()
	template := "PRESTO:{git:" + repo + "};PIPELINE:{longhaul}"
	git(t, repo, "init", "-q")
	if _, err := upload.VersionNumber(t.Context(), dir, template); !errors.Is(err, pipeline.ErrOutage) || !strings.Contains(err.Error(), repo) {
		t.Errorf("without a commit: %v, want an outage that names the checkout", err)
	}
	git(t, repo, "commit", "-q", "--allow-empty", "-m", "one")
	first, err := upload.VersionNumber(t.Context(), dir, template)
	if err != nil || !strings.HasPrefix(first, "PRESTO:") || len(first) < len("PRESTO:;PIPELINE:")+40 {
		t.Fatalf("computed as %q, %v", first, err)
	}
	git(t, repo, "commit", "-q", "--allow-empty", "-m", "two")
	again, err := upload.VersionNumber(t.Context(), dir, template)
	if err != nil || again != first {
		t.Errorf("the second time %q, %v; want what it was the first time, %q", again, err, first)
	}
	other, err := upload.VersionNumber(t.Context(), t.TempDir(), template)
	if err != nil || other == first {
		t.Errorf("of other results %q, %v; want another one than %q", other, err, first)
	}
	text, err := os.ReadFile(filepath.Join(dir, "version_number.txt"))
	if err != nil || string(text) != first+"\n" {
		t.Errorf("version_number.txt holds %q, %v", text, err)
	}
}
