package jobtracker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"longhaul/internal/pipeline"
)

// migration is one numbered step of the schema.
type migration struct {
	version int
	name    string
	sql     string
}

// migrations reads the numbered steps for a kind of database, in order.
func migrations(fsys fs.FS, kind string) ([]migration, error) {
	names, err := fs.Glob(fsys, "jobtracker/"+kind+"/*.sql")
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, name := range names { // Glob sorts
		number, _, _ := strings.Cut(path.Base(name), "_")
		v, err := strconv.Atoi(number)
		if err != nil || v != i+1 {
			return nil, fmt.Errorf("migration %s: want number %03d", name, i+1)
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{v, path.Base(name), string(text)})
	}
	return all, nil
}

// migrate applies the steps after version from, one transaction each.
func (s *Store) migrate(ctx context.Context, from int) error {
	steps, err := s.steps()
	if err != nil {
		return err
	}
	for _, m := range steps[min(from, len(steps)):] {
		err := s.write(ctx, "migration "+m.name, func(tx *txn) error {
			is, err := s.version(ctx, tx)
			if err != nil {
				return err
			}
			if is != m.version-1 { // nothing must be migrated twice
				return fmt.Errorf("it has version %d now, not %d: %w", is, m.version-1, pipeline.ErrStale)
			}
			if _, err := tx.ExecContext(ctx, m.sql); err != nil {
				return err
			}
			return s.setVersion(ctx, tx.Tx, m.version)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Migrate brings a job-tracker of an older version to this one's; one that is a
// file, after a backup of it beside it. It does nothing to one that is current:
// then backup is empty. No daemon may use the job-tracker meanwhile. After an
// error the job-tracker has the last version whose step went through, and is
// whole.
func Migrate(ctx context.Context, db string) (from, to int, backup string, err error) {
	return migrateAt(ctx, db, Options{Actor: "migrate"}.withDefaults())
}

func migrateAt(ctx context.Context, db string, opt Options) (from, to int, backup string, err error) {
	var s *Store
	if OnServer(db) {
		s, err = connectServer(db, opt)
	} else if err = refuseUnsafe(db); err == nil {
		s = connectFile(db, opt)
	}
	if err == nil {
		from, to, backup, err = s.bring(ctx)
		err = errors.Join(err, s.Close())
	}
	return from, to, backup, wrap("migrate job-tracker "+address(db), err)
}

// bring brings a job-tracker to this program's version.
func (s *Store) bring(ctx context.Context) (from, to int, backup string, err error) {
	steps, err := s.steps()
	if err != nil {
		return 0, 0, "", err
	}
	to = len(steps)
	if from, err = s.version(ctx, s.rw); err != nil || from == to {
		return from, to, "", err
	}
	if from > to {
		return from, to, "", wrongVersion(from, to)
	}
	if !OnServer(s.name) {
		backup = fmt.Sprintf("%s.v%d.%s.backup", s.name, from, s.now().UTC().Format("20060102T150405"))
		if err := s.Backup(ctx, backup); err != nil {
			return from, to, "", err
		}
	}
	return from, to, backup, s.migrate(ctx, from)
}

// refuseOther refuses a job-tracker of another version.
func (s *Store) refuseOther(ctx context.Context) error {
	steps, err := s.steps()
	if err != nil {
		return err
	}
	is, err := s.version(ctx, s.rw)
	if err != nil {
		return err
	}
	if is != len(steps) {
		return wrongVersion(is, len(steps))
	}
	return nil
}

func wrongVersion(file, want int) error {
	if file < want {
		return pipeline.Fatal(fmt.Errorf("it has version %d, this program needs %d; stop the daemons and run 'longhaul migrate'", file, want))
	}
	return pipeline.Fatal(fmt.Errorf("it has version %d, this program knows only up to %d; use the newer program that wrote it", file, want))
}
