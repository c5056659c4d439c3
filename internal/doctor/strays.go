package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"longhaul/internal/daemon"
	"longhaul/internal/disk"
	"longhaul/internal/download"
	"longhaul/internal/pipeline"
)

// strays looks through the download directory for what no row knows: part
// files, and whole files that look like raw data. All else there is not ours.
func (d *Doctor) strays(ctx context.Context) ([]Finding, error) {
	temp := d.Config.Download.Temp
	entries, err := os.ReadDir(temp)
	if err != nil {
		return nil, err
	}
	growing, err := d.growing(ctx)
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, e := range entries {
		path := filepath.Join(temp, e.Name())
		if !e.Type().IsRegular() || growing[path] {
			continue
		}
		name, part := partOf(e.Name())
		if _, ours := d.products.Recognise(name); !ours || d.claimed[name] {
			continue
		}
		f, err := d.Store.FileByName(ctx, name)
		unknown := errors.Is(err, pipeline.ErrNotFound)
		if err != nil && !unknown {
			return found, err
		}
		switch {
		case part:
			found = append(found, d.strayPart(path, f, unknown))
		case unknown, f.Status == pipeline.Deleted:
			found = append(found, Finding{Severity: Warning, Where: path,
				What:   "is raw data by its name, and " + whose(f, unknown),
				Remedy: "to have it processed: longhaul add-files " + path + "; or move it away"})
		}
	}
	return found, nil
}

// growing are the part files of all files that are, or will be, fetched.
func (d *Doctor) growing(ctx context.Context) (map[string]bool, error) {
	paths := make(map[string]bool)
	for _, status := range []pipeline.Status{pipeline.New, pipeline.Retrying, pipeline.Downloading, pipeline.Unverified, pipeline.Failed} {
		files, err := d.Store.FilesIn(ctx, status)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			paths[download.PartPath(f)] = true
		}
	}
	return paths, nil
}

// partOf returns the name of the file that a part file is of.
func partOf(name string) (of string, part bool) {
	of, dot := strings.CutPrefix(name, ".")
	of, end := strings.CutSuffix(of, ".part")
	if dot && end {
		return of, true
	}
	return name, false
}

func whose(f pipeline.File, unknown bool) string {
	if unknown {
		return "no row knows it"
	}
	return fmt.Sprintf("file %d of this name is %s", f.ID, f.Status)
}

func (d *Doctor) strayPart(path string, f pipeline.File, unknown bool) Finding {
	return Finding{Severity: Warning, Where: path,
		What:   "is left of a download that nobody goes on with: " + whose(f, unknown),
		Remedy: "--repair removes it",
		stops:  []string{daemon.Downloader},
		fix: func(ctx context.Context) error {
			growing, err := d.growing(ctx) // an earlier repair may have changed it
			if err != nil || growing[path] {
				return err
			}
			if err := os.Remove(path); err != nil {
				return err
			}
			if !unknown {
				err = d.Store.Note(ctx, pipeline.EntityFile, int64(f.ID), "doctor: removed "+filepath.Base(path))
			}
			return errors.Join(err, disk.SyncDir(filepath.Dir(path)))
		}}
}
