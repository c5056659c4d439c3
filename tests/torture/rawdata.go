package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"longhaul/internal/commondb"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
)

// lookInterval is how often a run's raw data is looked at while it goes on.
const lookInterval = 200 * time.Millisecond

// watchRawData looks, while a run goes on, for raw data that is gone from the
// disk before the results of all its jobs are in the common database. At the end
// of the run this could not be seen any more. What it returns ends it, and
// gives the first such file.
func watchRawData(ctx context.Context, dir string) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	found := make(chan error, 1)
	go func() { found <- lookAtRawData(ctx, dir) }()
	return func() error {
		cancel()
		return <-found
	}
}

func lookAtRawData(ctx context.Context, dir string) (err error) {
	var store *jobtracker.Store
	defer func() {
		if store != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		// What cannot be asked is asked again: the site is being made, or the
		// run ends, or is killed just now.
		if store == nil {
			store, _ = jobtracker.Open(ctx, filepath.Join(dir, "jobtracker.db"), jobtracker.Options{Actor: "torture"})
			continue
		}
		if early, err := goneTooEarly(ctx, store, dir); err == nil && early != "" {
			return fmt.Errorf("%s was gone before its results were in the common database", early)
		}
	}
}

// goneTooEarly returns the path of raw data that was here, is not, and belongs
// to a job without an upload; "" if there is none.
func goneTooEarly(ctx context.Context, store *jobtracker.Store, dir string) (path string, err error) {
	files, err := store.Files(ctx, jobtracker.Filter{Statuses: []pipeline.Status{pipeline.Downloaded, pipeline.Deleted}})
	if err != nil {
		return "", err
	}
	var gone []pipeline.File // looked at before the common database is
	for _, f := range files {
		if _, err := os.Lstat(f.Path); errors.Is(err, fs.ErrNotExist) {
			gone = append(gone, f)
		}
	}
	if len(gone) == 0 {
		return "", nil
	}
	db, err := commondb.Open(ctx, commondb.Options{Database: filepath.Join(dir, "commondb.db")})
	if err != nil {
		return "", err
	}
	defer db.Close()
	for _, f := range gone {
		jobs, err := store.JobsOfFile(ctx, f.ID)
		if err != nil {
			return "", err
		}
		for _, j := range jobs {
			if there, err := uploaded(ctx, store, db, j.ID); err != nil {
				return "", err
			} else if !there {
				return f.Path, nil
			}
		}
	}
	return "", nil
}

// uploaded reports whether the common database has an upload of a job.
func uploaded(ctx context.Context, store *jobtracker.Store, db *commondb.DB, id pipeline.JobID) (bool, error) {
	submits, err := store.SubmitsOf(ctx, id)
	if err != nil {
		return false, err
	}
	for _, s := range submits {
		if there, _, err := db.Find(ctx, s.Name); err != nil || there {
			return there, err
		}
	}
	return false, nil
}
