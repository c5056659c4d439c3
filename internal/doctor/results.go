package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"longhaul/internal/daemon"
	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
	"longhaul/internal/resultdir"
)

// quiet is how long nothing may have changed in a directory before it is taken
// for left behind: a worker copies large files.
const quiet = 24 * time.Hour

// results looks for results that wait and are gone, and through the results
// directory for what no submit knows.
func (d *Doctor) results(ctx context.Context) ([]Finding, error) {
	processed, err := d.Store.SubmitsIn(ctx, pipeline.Processed)
	if err != nil {
		return nil, err
	}
	base := d.Config.JobPooler.BaseResultsDirectory
	var found []Finding
	for _, sub := range processed {
		there, err := resultdir.Exists(sub.OutputDir)
		if err != nil {
			return found, err
		}
		if !there && !d.claimed[sub.Name] && !d.uploadedNow(ctx, sub) {
			found = append(found, Finding{Severity: Error, Where: row(pipeline.EntitySubmit, sub.ID),
				What:   "its results wait for their upload, and are gone: " + sub.OutputDir,
				Remedy: "put them back; otherwise the upload fails, and the job runs again"})
		}
	}
	more, err := d.strayResults(ctx, base)
	return append(found, more...), err
}

func (d *Doctor) uploadedNow(ctx context.Context, sub pipeline.Submit) bool {
	now, err := d.Store.Submit(ctx, sub.ID)
	return err != nil || now.Status != pipeline.Processed
}

// strayResults walks down to the output directories. One that a submit was
// given is not entered; a directory with files that none was given, and none
// beneath, is results that nobody knows.
func (d *Doctor) strayResults(ctx context.Context, dir string) ([]Finding, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if ctx.Err() != nil {
			return found, context.Cause(ctx)
		}
		if !e.IsDir() {
			continue
		}
		if of, ok := partialOf(path); ok {
			f, stray, err := d.strayPartial(ctx, path, of)
			if err != nil {
				return found, err
			}
			if stray {
				found = append(found, f)
			}
			continue
		}
		taken, err := d.Store.OutputDirTaken(ctx, path)
		if err != nil {
			return found, err
		}
		if taken || d.claimed[path] {
			continue
		}
		stray, err := d.unknownResults(ctx, path)
		if err != nil {
			return found, err
		}
		if stray {
			found = append(found, Finding{Severity: Warning, Where: path, What: "holds results that no submit knows",
				Remedy: "nobody uploads them: move them away, or remove them"})
			continue
		}
		more, err := d.strayResults(ctx, path)
		found = append(found, more...)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return found, err
		}
	}
	return found, nil
}

// unknownResults reports whether there are files in a directory, and no output
// directory beneath it.
func (d *Doctor) unknownResults(ctx context.Context, dir string) (bool, error) {
	beneath, err := d.Store.OutputDirsBeneath(ctx, dir)
	if err != nil || beneath {
		return false, err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			return true, nil
		}
	}
	return false, err
}

// partialOf returns the output directory that a worker was copying results to.
func partialOf(path string) (dir string, ok bool) {
	name, dot := strings.CutPrefix(filepath.Base(path), ".")
	name, random, cut := strings.Cut(name, ".partial.")
	ok = dot && cut && name != "" && random != "" && strings.Trim(random, "0123456789") == ""
	return filepath.Join(filepath.Dir(path), name), ok
}

// strayPartial judges what a worker was copying: it is of no use once its
// submit has ended.
func (d *Doctor) strayPartial(ctx context.Context, path, of string) (f Finding, stray bool, err error) {
	live, err := d.isLive(ctx, of)
	if err != nil || live {
		return f, false, err
	}
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, false, nil
	} else if err != nil {
		return f, false, err
	}
	f = Finding{Severity: Warning, Where: path, What: "is a copy of results that was never finished, and its submit has ended"}
	if idle := d.Now().Sub(st.ModTime()); idle < quiet {
		f.Severity = Note
		f.Remedy = fmt.Sprintf("if nothing changes in it, --repair removes it in %s", (quiet - idle).Round(time.Minute))
		return f, true, nil
	}
	f.Remedy = "--repair removes it"
	f.stops = []string{daemon.JobPooler}
	f.fix = func(context.Context) error {
		return errors.Join(os.RemoveAll(path), disk.SyncDir(filepath.Dir(path)))
	}
	return f, true, nil
}

// isLive reports whether the submit with an output directory may still run.
func (d *Doctor) isLive(ctx context.Context, dir string) (bool, error) {
	for _, status := range []pipeline.Status{pipeline.Submitting, pipeline.Running} {
		subs, err := d.Store.SubmitsIn(ctx, status)
		if err != nil {
			return false, err
		}
		for _, s := range subs {
			if s.OutputDir == dir {
				return true, nil
			}
		}
	}
	return false, nil
}
