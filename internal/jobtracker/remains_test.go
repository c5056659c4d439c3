package jobtracker_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longhaul/internal/jobtracker"
)

// The log of a job-tracker that was moved away must not become part of a new one.
func TestCreateRefusesTheRemainsOfAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "jobtracker.db")
	if err := os.WriteFile(path+"-wal", []byte("what was"), 0o640); err != nil {
		t.Fatal(err)
	}
	created, err := jobtracker.Create(t.Context(), path)
	if created || err == nil || !strings.Contains(err.Error(), "restore-backup") {
		t.Errorf("Create = %v, %v, want a refusal with the way out", created, err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was made: %v", err)
	}
	if err := os.Remove(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	if created, err := jobtracker.Create(t.Context(), path); !created || err != nil {
		t.Errorf("Create = %v, %v once they are gone", created, err)
	}
}
