package upload_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longhaul/internal/commondb"
	"longhaul/internal/disk"
	"longhaul/internal/disk/disktest"
	"longhaul/internal/pipeline"
	"longhaul/internal/resultdir"
	"longhaul/internal/results"
)

// withPlot is a manifest with a file.
const withPlot = `{"format":"longhaul-results-1","records":[{"table":"headers",
 "values":{"beam_id":3,"sample_time":65.5,"original_file":"b3.fits"},
 "refs":{"observation_id":{"table":"observations","values":{"obs_name":"P2030.G45"}}},
 "children":[{"table":"diagnostic_plots","values":{"filename":"p.png"},"blobs":{"filedata":"p.png"},
  "refs":{"type_id":{"table":"diagnostic_types","values":{"name":"Bandpass plot","kind":"plot"}}}}]}]}`

// large makes a file of so many bytes that takes no room.
func large(r *rig, path string, size int64) {
	r.must(os.WriteFile(path, nil, 0o640))
	r.must(os.Truncate(path, size))
}

// What a job may leave, by mistake or by malice, and an upload must refuse.
func TestResultsThatLieFailTheirJobOnly(t *testing.T) {
	t.Parallel()
	value := func(text string) func(*rig, pipeline.Submit) {
		return func(r *rig, sub pipeline.Submit) {
			r.write(sub, results.ManifestName, strings.Replace(manifest(3), "65.5", text, 1))
		}
	}
	plot := func(make func(r *rig, path string)) func(*rig, pipeline.Submit) {
		return func(r *rig, sub pipeline.Submit) {
			r.write(sub, results.ManifestName, withPlot)
			make(r, filepath.Join(sub.OutputDir, "p.png"))
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func(*rig, pipeline.Submit)
		words []string
	}{
		{"a results.json beyond all measure", func(r *rig, sub pipeline.Submit) {
			large(r, filepath.Join(sub.OutputDir, results.ManifestName), 1<<40)
		}, []string{"results.json", "larger"}},
		{"a results.json that leads out of the directory", func(r *rig, sub pipeline.Submit) {
			path := filepath.Join(sub.OutputDir, results.ManifestName)
			r.must(errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path)))
		}, []string{"results.json", "symbolic link"}},
		{"a file that is missing", plot(func(*rig, string) {}), []string{"p.png"}},
		{"a file over the limit", plot(func(r *rig, path string) {
			small, err := results.NewManifest(1000)
			r.must(err)
			r.readers["manifest"] = small
			large(r, path, 1<<40)
		}), []string{"p.png", "larger"}},
		{"a file that leads out of the directory", plot(func(r *rig, path string) {
			r.must(os.Symlink("/etc/passwd", path))
		}), []string{"p.png", "symbolic link"}},
		{"not a number", value("NaN"), []string{"sample_time"}},
		{"infinity", value("-Infinity"), []string{"sample_time"}},
		{"a number that no column holds", value("1e400"), []string{"sample_time"}},
		{"a key given twice", value(`65.5,"sample_time":66.0`), []string{"given twice"}},
		{"text for a number", value(`"sixty-five"`), []string{"sample_time"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			failsItsJobOnly(t, tt.spoil, tt.words...)
		})
	}
}

// A common database that keeps something else than it was given is not trusted
// with this upload, and raw data stays.
func TestAValueThatTheDatabaseRoundsFailsTheUpload(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sub := r.processed(manifest(3))
	r.before = func(commondb.Meta) error {
		return fmt.Errorf("%w: headers.sample_time of row 1: sent 65.476190476, got 65.4762", commondb.ErrMismatch)
	}
	r.pass()
	r.want(sub, pipeline.Failed, pipeline.UploadFailed, "sent 65.476190476, got 65.4762")
	if n := r.raw(sub.JobID); n != 2 {
		t.Errorf("%d raw data files are left, want both", n)
	}
}

// The connection is lost before, during and after the commit: nothing fails, and
// in the end there is one upload.
func TestAConnectionLostAroundTheCommitUploadsOnce(t *testing.T) {
	t.Parallel()
	lost := pipeline.Outage(pipeline.CommonDatabase, errors.New("connection reset by peer"))
	r := newRig(t)
	sub := r.processed(manifest(3))
	for range 2 {
		r.before = func(commondb.Meta) error { return lost } // also during it: then it rolls back
		r.outage(pipeline.CommonDatabase)
		r.want(sub, pipeline.Processed, pipeline.Processed)
		r.rows("uploads", 0)
	}
	r.before, r.after = nil, func(commondb.Meta) error { return lost }
	for range 3 {
		r.outage(pipeline.CommonDatabase)
		r.want(sub, pipeline.Processed, pipeline.Processed)
		r.rows("uploads", 1)
		if n := r.raw(sub.JobID); n != 2 {
			t.Errorf("%d raw data files are left, want both", n)
		}
	}
	r.after = nil
	r.pass()
	r.want(sub, pipeline.Uploaded, pipeline.Uploaded)
	r.rows("uploads", 1)
	r.rows("headers", 1)
}

// The uploader writes the version number beside the results.
func TestAFullResultsDiskHoldsUpTheUploadAndFailsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	disktest.Mount(t, r.base(), 256<<10)
	r.must(resultdir.Mark(r.base()))
	sub := r.processed(manifest(3))
	empty := disktest.Fill(t, r.base(), 0)
	for range 3 {
		if err := r.outage(pipeline.LocalDisk); !disk.IsFull(err) {
			t.Errorf("the outage does not say that the disk is full: %v", err)
		}
	}
	r.want(sub, pipeline.Processed, pipeline.Processed)
	r.rows("uploads", 0)
	empty()
	r.pass()
	r.want(sub, pipeline.Uploaded, pipeline.Uploaded)
}
