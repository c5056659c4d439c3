package demo

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"longhaul/internal/disk"
)

// FailAsPlanned is what the demo's stage does before the quicklook: it leaves a
// trace that this submit's command ran, and fails if the plan says so. dir is
// the demo's directory; submit the submit's unique name; dataFiles the inputs
// as DATAFILES gives them.
func FailAsPlanned(dir, submit, dataFiles string) error {
	at := layout{dir}
	trace, err := os.OpenFile(filepath.Join(at.runs(), submit), os.O_CREATE|os.O_APPEND|os.O_WRONLY, disk.FileMode)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(trace, "ran\n"); err != nil {
		return err
	}
	if err := trace.Close(); err != nil {
		return err
	}
	first, _, _ := strings.Cut(dataFiles, ";")
	plan := filepath.Join(at.plan(), filepath.Base(first))
	text, err := os.ReadFile(plan)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	left, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || left == 0 {
		return err
	}
	if err := writePlan(plan, left-1); err != nil {
		return err
	}
	return fmt.Errorf("%s: the demo makes this job fail", filepath.Base(first))
}

func writePlan(path string, times int) error {
	return disk.WriteFile(path, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, times)
		return err
	})
}

// always is how often a job fails that fails always.
const always = 1_000_000

// planFailures writes down which jobs are to fail; a plan that is there already
// is being carried out.
func planFailures(at layout, s survey) error {
	for _, it := range s.with(jobFails1, jobFailsN) {
		path := filepath.Join(at.plan(), it.files[0])
		if _, err := os.Stat(path); err == nil {
			continue
		}
		times := 1
		if it.fate == jobFailsN {
			times = always
		}
		if err := writePlan(path, times); err != nil {
			return err
		}
	}
	return nil
}
