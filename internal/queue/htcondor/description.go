package htcondor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"longhaul/internal/queue"
)

// outOfMemory is the HoldReasonCode of a job that exceeded its memory.
const outOfMemory = 34

// description returns the submit description of a submission.
func (s *system) description(spec queue.Spec, script string) ([]byte, error) {
	if strings.ContainsAny(script, "\n\r$") { // $ begins a macro
		return nil, fmt.Errorf("%w: %q cannot be named in a submit description", queue.ErrRejected, script)
	}
	if err := checkLines(spec.Args); err != nil {
		return nil, fmt.Errorf("%w: a stage's queue_args: %w", queue.ErrRejected, err)
	}
	requirements := "NumJobStarts == 0"
	if s.Requirements != "" {
		requirements += " && (" + s.Requirements + ")"
	}
	again := "JobStatus == 1 && NumJobStarts > 0"
	remove := []string{"(" + again + ")", fmt.Sprintf("(JobStatus == 5 && HoldReasonCode == %d)", outOfMemory)}
	r := spec.Resources
	if r.WallTime > 0 {
		seconds := int64((r.WallTime + time.Second - 1) / time.Second)
		remove = append(remove, fmt.Sprintf("(JobStatus == 2 && time() - JobCurrentStartDate > %d)", seconds))
	}
	lines := []string{
		"universe = vanilla",
		"executable = " + script,
		"transfer_executable = false",
		"should_transfer_files = NO",
		"initialdir = /",
		"output = /dev/null",
		"error = /dev/null",
		"getenv = false",
		"notification = never",
		"batch_name = " + spec.Name,
		"requirements = " + requirements,
		"periodic_remove = " + strings.Join(remove, " || "),
	}
	if r.CPUs > 0 {
		lines = append(lines, fmt.Sprintf("request_cpus = %d", r.CPUs))
	}
	if r.Memory > 0 {
		lines = append(lines, fmt.Sprintf("request_memory = %d", (r.Memory+1<<20-1)>>20)) // MiB
	}
	if s.AccountingGroup != "" {
		lines = append(lines, "accounting_group = "+s.AccountingGroup)
	}
	lines = append(slices.Concat(lines, s.Options.Submit, spec.Args), "queue 1")
	return []byte(strings.Join(lines, "\n") + "\n"), nil
}
