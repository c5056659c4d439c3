package jobtracker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"longhaul/internal/pipeline"
	"longhaul/schema"
)

// migration is one numbered step of the schema.
type migration struct {
	version int
	name    string
	sql     string
}

// migrations reads the numbered steps of a file system, in order.
func migrations(fsys fs.FS) ([]migration, error) {
	names, err := fs.Glob(fsys, "jobtracker/*.sql")
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, name := range names { // Glob sorts
		number, _, _ := strings.Cut(filepath.Base(name), "_")
		v, err := strconv.Atoi(number)
		if err != nil || v != i+1 {
			return nil, fmt.Errorf("migration %s: want number %03d", name, i+1)
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{v, filepath.Base(name), string(text)})
	}
	return all, nil
}

// migrate applies the steps after version from, one transaction each.
func (s *Store) migrate(ctx context.Context, from int, steps []migration) error {
	for _, m := range steps[min(from, len(steps)):] {
		err := s.write(ctx, "migration "+m.name, func(tx *txn) error {
			var is int
			if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&is); err != nil {
				return err
			}
			if is != m.version-1 { // nothing must be migrated twice
				return fmt.Errorf("it has version %d now, not %d: %w", is, m.version-1, pipeline.ErrStale)
			}
			if _, err := tx.ExecContext(ctx, m.sql); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, m.version))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Migrate brings a job-tracker of an older version to this one's, after a
// backup of it beside it. It does nothing to one that is current: then backup
// is empty. No daemon may use the job-tracker meanwhile. After an error the
// job-tracker has the last version whose step went through, and is whole.
func Migrate(ctx context.Context, path string) (from, to int, backup string, err error) {
	from, to, backup, err = migrateFile(ctx, path, schema.JobTracker)
	if err != nil {
		err = fmt.Errorf("migrate job-tracker %s: %w", path, err)
	}
	return from, to, backup, err
}

func migrateFile(ctx context.Context, path string, fsys fs.FS) (from, to int, backup string, err error) {
	steps, err := migrations(fsys)
	if err != nil {
		return 0, 0, "", err
	}
	if err := refuseUnsafe(path); err != nil {
		return 0, 0, "", err
	}
	s := connect(path, Options{Actor: "migrate"})
	defer func() { err = errors.Join(err, s.Close()) }()
	to = len(steps)
	if from, err = s.version(ctx); err != nil || from == to {
		return from, to, "", err
	}
	if from > to {
		return from, to, "", wrongVersion(from, to)
	}
	backup = fmt.Sprintf("%s.v%d.%s.backup", path, from, s.now().UTC().Format("20060102T150405"))
	if err := s.Backup(ctx, backup); err != nil {
		return from, to, "", err
	}
	return from, to, backup, s.migrate(ctx, from, steps)
}

// version returns the version of the file's schema.
func (s *Store) version(ctx context.Context) (int, error) {
	var app, version int
	if err := s.rw.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&app); err != nil {
		return 0, s.classify(ctx, err)
	}
	if app != applicationID {
		return 0, s.notTracker()
	}
	err := s.rw.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version)
	return version, s.classify(ctx, err)
}

// notTracker tells an empty file, which a full disk or a crash can leave, from
// a database of something else.
func (s *Store) notTracker() error {
	if st, err := os.Stat(s.path); err == nil && st.Size() == 0 {
		return pipeline.Fatal(errors.New("it is empty; put the newest backup in its place or, if there never was anything in it, remove it and run 'longhaul init'"))
	}
	return pipeline.Fatal(errors.New("this is not a job-tracker; check background.jobtracker_db"))
}

func (s *Store) checkVersion(ctx context.Context) error {
	steps, err := migrations(schema.JobTracker)
	if err != nil {
		return err
	}
	file, err := s.version(ctx)
	if err != nil {
		return err
	}
	if file != len(steps) {
		return wrongVersion(file, len(steps))
	}
	return nil
}

func wrongVersion(file, want int) error {
	if file < want {
		return pipeline.Fatal(fmt.Errorf("it has version %d, this program needs %d; stop the daemons and run 'longhaul migrate'", file, want))
	}
	return pipeline.Fatal(fmt.Errorf("it has version %d, this program knows only up to %d; use the newer program that wrote it", file, want))
}
