package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
)

// The endings and the beginning of the names in a dir, beside package batch's.
const (
	jobEnd     = ".job.json"
	idEnd      = ".id"
	deletedEnd = ".deleted"
	idBegin    = "id."
)

// maxID is the length of an ID, in bytes; escaped it must fit a file name.
const maxID = 80

// statusOutput is how a job ends whose Stdout or Stderr cannot be opened, the
// same as a worker whose output cannot be written.
const statusOutput = "73"

// redirect is a shell command that becomes the command after the paths of its
// standard output and error, in whose files it appends.
const redirect = `(umask 027; : >>"$1" && : >>"$2") 2>/dev/null || exit ` + statusOutput +
	`; o=$1 e=$2; shift 2; exec "$@" </dev/null >>"$o" 2>>"$e"`

// dir is the directory with a site's submissions.
type dir struct{ path string }

// job is what NAME.job.json holds.
type job struct {
	Name      string            `json:"name"`
	Submitted time.Time         `json:"submitted"`
	Command   []string          `json:"command"`
	Env       map[string]string `json:"env,omitempty"`
	Stdout    string            `json:"stdout"`
	Stderr    string            `json:"stderr"`
}

func openDir(path string) (dir, error) {
	abs, err := filepath.Abs(path)
	if err == nil {
		err = disk.MakeDir(abs)
	}
	if err != nil {
		return dir{}, fmt.Errorf("directory for jobs: %w", err)
	}
	return dir{abs}, nil
}

func (d dir) file(name, end string) string { return filepath.Join(d.path, name+end) }

func (d dir) idFile(id string) string { return d.file(idBegin+url.PathEscape(id), "") }

// put writes what is kept about a submission, and its script.
func (d dir) put(spec queue.Spec, directives []string, mode os.FileMode, now time.Time) (script string, err error) {
	// The record first: whatever was submitted has one.
	rec := job{spec.Name, now.UTC(), spec.Command, spec.Env, spec.Stdout, spec.Stderr}
	err = disk.WriteFile(d.file(spec.Name, jobEnd), func(w io.Writer) error { return json.NewEncoder(w).Encode(rec) })
	if err != nil {
		return "", pipeline.Outage(pipeline.LocalDisk, err)
	}
	spec.Command = append([]string{"/bin/sh", "-c", redirect, "sh", spec.Stdout, spec.Stderr}, spec.Command...)
	script, err = batch.WriteScript(d.path, spec, directives, mode)
	if err != nil && !errors.Is(err, queue.ErrRejected) {
		err = pipeline.Outage(pipeline.LocalDisk, err)
	}
	return script, err
}

// get returns a submission; fs.ErrNotExist if there was none.
func (d dir) get(name string) (job, error) {
	if !queue.ValidName(name) {
		return job{}, fs.ErrNotExist
	}
	var j job
	text, err := os.ReadFile(d.file(name, jobEnd))
	if err != nil {
		return job{}, err
	}
	if err := json.Unmarshal(text, &j); err != nil {
		return job{}, fmt.Errorf("%s: %w", d.file(name, jobEnd), err)
	}
	return j, nil
}

// setID notes which ID a submission has.
func (d dir) setID(name, id string) error {
	if id == "" || len(id) > maxID {
		return fmt.Errorf("ID %q of %s has not 1 to %d bytes", id, name, maxID)
	}
	if old, err := d.id(name); err == nil && old == id {
		return nil
	}
	for path, text := range map[string]string{d.file(name, idEnd): id, d.idFile(id): name} {
		err := disk.WriteFile(path, func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// id returns the ID of a submission; fs.ErrNotExist if none was noted.
func (d dir) id(name string) (string, error) {
	if !queue.ValidName(name) {
		return "", fs.ErrNotExist
	}
	text, err := os.ReadFile(d.file(name, idEnd))
	return string(text), err
}

// name returns the name of the submission with an ID, "" if none was noted. An
// ID that Find made of a name stands for itself.
func (d dir) name(id string) string {
	if len(id) > maxID {
		return ""
	}
	if text, err := os.ReadFile(d.idFile(id)); err == nil && queue.ValidName(string(text)) {
		return string(text)
	}
	if _, err := d.get(id); err == nil {
		return id
	}
	return ""
}

// markDeleted notes that a submission is being deleted by us.
func (d dir) markDeleted(name string) error {
	return disk.WriteFile(d.file(name, deletedEnd), func(io.Writer) error { return nil })
}

func (d dir) deleted(name string) bool {
	_, err := os.Lstat(d.file(name, deletedEnd))
	return err == nil && queue.ValidName(name)
}

// names returns the names of all submissions.
func (d dir) names() ([]string, error) {
	f, err := os.Open(d.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range all {
		if name, ok := strings.CutSuffix(file, jobEnd); ok && queue.ValidName(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// remove forgets a submission.
func (d dir) remove(name string) error {
	errs := []error{batch.Remove(d.path, name)}
	paths := []string{d.file(name, idEnd), d.file(name, deletedEnd), d.file(name, jobEnd)}
	if id, err := d.id(name); err == nil && d.name(id) == name {
		paths = append([]string{d.idFile(id)}, paths...)
	}
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
