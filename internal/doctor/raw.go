package doctor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"longhaul/internal/daemon"
	"longhaul/internal/pipeline"
	"longhaul/internal/rawdata"
)

// onDisk are the statuses of files that are whole and here.
func onDisk() []pipeline.Status { return []pipeline.Status{pipeline.Downloaded, pipeline.Added} }

// rawData looks for the files that are said to be here. Those in a directory
// that is missing, or empty, are one finding: its disk may not be mounted.
func (d *Doctor) rawData(ctx context.Context) ([]Finding, error) {
	var found []Finding
	var kept []string                 // though their jobs are uploaded
	unmounted := make(map[string]int) // directory → files
	for _, status := range onDisk() {
		files, err := d.Store.FilesIn(ctx, status)
		if err != nil {
			return found, err
		}
		for _, f := range files {
			jobs, err := d.Store.JobsOfFile(ctx, f.ID)
			if err != nil {
				return found, err
			}
			if f.DeleteWanted || d.speaksOf(jobs) { // see deletions, and lost
				continue
			}
			what, err := d.compare(ctx, f)
			if err != nil {
				return found, err
			}
			dir := filepath.Dir(f.Path)
			switch {
			case what == "" && d.Config.Basic.DeleteRawdata && allUploaded(jobs):
				kept = append(kept, fmt.Sprint(f.ID))
			case what == "":
			case what == missing && bare(dir):
				unmounted[dir]++
			case d.moved(ctx, f): // a daemon was at it just now
			case what == missing && d.Config.Basic.DeleteRawdata && allUploaded(jobs):
				found = append(found, Finding{Severity: Warning, Where: row(pipeline.EntityFile, f.ID),
					What: f.Path + " is gone, and all its jobs are uploaded", Remedy: "--repair records it as deleted",
					stops: []string{daemon.JobPooler, daemon.Uploader},
					fix: func(ctx context.Context) error {
						if err := gone(f); err != nil {
							return err
						}
						return d.forget(ctx, f, "doctor: it is gone from the disk")
					}})
			default:
				found = append(found, Finding{Severity: Error, Where: row(pipeline.EntityFile, f.ID),
					What: f.Path + " " + what, Remedy: remedyFor(f, jobs)})
			}
		}
	}
	for dir, n := range unmounted {
		found = append(found, Finding{Severity: Error, Where: dir,
			What:   fmt.Sprintf("is missing or empty, and %d raw data files should be in it; its disk may not be mounted", n),
			Remedy: "mount it; what is gone for good: longhaul kill-jobs, longhaul remove-files"})
	}
	if len(kept) > 0 {
		found = append(found, Finding{Severity: Warning, Where: "files " + strings.Join(kept, ", "),
			What: "all their jobs are uploaded, and nobody has marked them for deletion", Remedy: "longhaul remove-files " + strings.Join(kept, " ")})
	}
	return found, nil
}

// speaksOf reports whether another finding is about one of the jobs.
func (d *Doctor) speaksOf(jobs []pipeline.Job) bool {
	return slices.ContainsFunc(jobs, func(j pipeline.Job) bool { return d.claimed[row(pipeline.EntityJob, j.ID)] })
}

func allUploaded(jobs []pipeline.Job) bool {
	return len(jobs) > 0 && !slices.ContainsFunc(jobs, func(j pipeline.Job) bool { return j.Status != pipeline.Uploaded })
}

const missing = "is not there"

// compare says what is wrong with a file on the disk; "" if nothing is.
func (d *Doctor) compare(ctx context.Context, f pipeline.File) (what string, err error) {
	st, err := os.Lstat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing, nil
	case err != nil:
		return err.Error(), nil
	case !st.Mode().IsRegular() && f.Status != pipeline.Added:
		return "is no regular file", nil
	}
	if st, err = os.Stat(f.Path); err != nil { // what an operator added may be a link
		return err.Error(), nil
	}
	if st.Size() != f.Size {
		return fmt.Sprintf("has %d bytes, not %d", st.Size(), f.Size), nil
	}
	if !d.Deep || f.Digest == "" {
		return "", nil
	}
	digest, err := digestOf(ctx, f.Path)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return err.Error(), nil
	case digest != f.Digest:
		return "has other bytes than when it was verified (" + digest + ")", nil
	}
	return "", nil
}

// digestOf reads a file as the downloader notes its digest.
func digestOf(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	for ctx.Err() == nil {
		_, err := io.CopyN(sum, f, 1<<20)
		if errors.Is(err, io.EOF) {
			return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
		} else if err != nil {
			return "", err
		}
	}
	return "", ctx.Err()
}

// bare reports whether a directory is missing or has nothing in it.
func bare(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return true
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	return err != nil
}

// moved reports whether a file has left its status since it was read.
func (d *Doctor) moved(ctx context.Context, f pipeline.File) bool {
	now, err := d.Store.File(ctx, f.ID)
	return err != nil || now.Status != f.Status || now.DeleteWanted
}

// remedyFor says what can be done about a raw data file that is not as it was.
func remedyFor(f pipeline.File, jobs []pipeline.Job) string {
	was := fmt.Sprintf("put it back as it was (%d bytes", f.Size)
	if f.Digest != "" {
		was += ", " + f.Digest
	}
	for _, j := range jobs {
		if j.Status != pipeline.Uploaded && j.Status != pipeline.TerminalFailure {
			return fmt.Sprintf("%s), or: longhaul kill-jobs %d --delete-rawdata", was, j.ID)
		}
	}
	if len(jobs) == 0 {
		return fmt.Sprintf("%s), or: longhaul remove-files %d", was, f.ID)
	}
	return fmt.Sprintf("no job needs it: longhaul remove-files %d", f.ID)
}

// deletions finds raw data that is to be deleted and still there, or gone and
// not recorded so.
func (d *Doctor) deletions(ctx context.Context) ([]Finding, error) {
	files, err := d.Store.FilesToDelete(ctx)
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, f := range files {
		finding := Finding{Severity: Note, Where: row(pipeline.EntityFile, f.ID), stops: []string{daemon.JobPooler, daemon.Uploader}}
		st, err := os.Lstat(f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if d.runs(daemon.Uploader) {
				continue // it deleted it just now
			}
			finding.What = "was to be deleted, and is gone: " + f.Path
			finding.Remedy = "--repair records it as deleted, as the uploader will"
			finding.fix = func(ctx context.Context) error { return d.settleDeleted(ctx, f) }
		case err != nil:
			finding.Severity, finding.What, finding.Remedy = Error, err.Error(), "see why, and let the uploader go on"
		case d.held && newer(st, d.hold.LastKnown):
			finding.Severity, finding.Holds = Error, true
			finding.What = "was to be deleted before the backup, but something was written there since: " + f.Path
			finding.Remedy = "move it away if it is to stay, or remove it"
		case !d.runs(daemon.Uploader):
			finding.What = "is to be deleted: " + f.Path
			finding.Remedy = "the uploader does it when it runs: systemctl start longhaul-uploader"
		case d.Now().Sub(f.UpdatedAt) > time.Hour:
			finding.Severity = Warning
			finding.What = "is to be deleted, and still there, though the uploader runs: " + f.Path
			finding.Remedy = "the uploader's log says why"
		default:
			continue
		}
		found = append(found, finding)
	}
	return found, nil
}

// newer reports whether a file came to its place after a moment. Its own time
// can be kept by a copy; that of its inode cannot.
func newer(st fs.FileInfo, t time.Time) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if ok {
		return time.Unix(sys.Ctim.Unix()).After(t)
	}
	return st.ModTime().After(t)
}

// settleDeleted records a file as deleted that is gone for certain.
func (d *Doctor) settleDeleted(ctx context.Context, f pipeline.File) error {
	if err := gone(f); err != nil {
		return err
	}
	if err := d.Store.Note(ctx, pipeline.EntityFile, int64(f.ID), "doctor: it is gone from the disk"); err != nil {
		return err
	}
	return d.Store.FileDeleted(ctx, f)
}

// gone returns nil if a file is certainly gone from a disk that is there.
func gone(f pipeline.File) error {
	switch is, err := rawdata.Gone(f.Path); {
	case err != nil:
		return err
	case !is:
		return fmt.Errorf("%s is there again", f.Path)
	}
	return nil
}
