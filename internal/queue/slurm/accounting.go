package slurm

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
)

// lookBack is how far back the accounting is searched.
const lookBack = 30 * 24 * time.Hour

// atOnce is how many jobs one sacct is asked about: an argument may have 128 KiB.
const atOnce = 5000

// accountFields of sacct; the name comes last.
var accountFields = []string{"JobIDRaw", "State", "ExitCode", "Submit", "Start", "End", "NodeList", "JobName"}

// accountHeading is how every answer of sacct begins.
const accountHeading = "JobIDRaw|State|ExitCode|"

// hasAccounting reports whether the cluster has any; it is asked once.
func (m *Manager) hasAccounting(ctx context.Context) (bool, error) {
	m.mu.Lock()
	known := m.accounting
	m.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	out, err := m.run.Run(ctx, nil, "scontrol", "show", "config")
	if err != nil {
		return false, err
	}
	kind, ok := configValue(out.Stdout, "AccountingStorageType")
	if out.ExitCode != 0 || !ok {
		return false, unanswered("scontrol", out)
	}
	has := kind != "" && kind != "(null)" && kind != "accounting_storage/none"
	m.mu.Lock()
	m.accounting = &has
	m.mu.Unlock()
	return has, nil
}

// configValue finds a setting in the answer of scontrol show config.
func configValue(text []byte, key string) (string, bool) {
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, "="); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v), true
		}
	}
	return "", false
}

// accounted returns what the accounting knows of jobs with these IDs, also of
// earlier and later ones with the same.
func (m *Manager) accounted(ctx context.Context, ids []string) ([]job, error) {
	var all []job
	for chunk := range slices.Chunk(ids, atOnce) {
		jobs, err := m.sacct(ctx, "--jobs="+strings.Join(chunk, ","))
		if err != nil {
			return nil, err
		}
		all = append(all, jobs...)
	}
	return all, nil
}

// sacct asks the accounting; without any the answer is that of none.
func (m *Manager) sacct(ctx context.Context, which string) ([]job, error) {
	has, err := m.hasAccounting(ctx)
	if err != nil || !has {
		return nil, err
	}
	// The local time of here and of Slurm may differ by hours, which matters not.
	since := time.Now().Add(-lookBack).UTC().Format("2006-01-02T15:04:05")
	out, err := m.run.Run(ctx, nil, "sacct", "--parsable2", "--allocations", "--duplicates", "--user="+uid(),
		"--starttime="+since, "--format="+strings.Join(accountFields, ","), which)
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		return nil, unanswered("sacct", out)
	}
	jobs, err := parseAccounts(out)
	if err != nil {
		return nil, pipeline.Outage(pipeline.QueueManager, fmt.Errorf("sacct: %w", err))
	}
	return jobs, nil
}

// parseAccounts reads the answer of sacct, as parseQueue does that of squeue.
func parseAccounts(out batch.Output) ([]job, error) {
	if !bytes.HasPrefix(out.Stdout, []byte(accountHeading)) || !bytes.HasSuffix(out.Stdout, []byte("\n")) {
		return nil, errNoAnswer
	}
	var jobs []job
	for line := range strings.Lines(string(out.Stdout)) {
		v := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		if len(v) != len(accountFields) || !validID(v[0]) || !queue.ValidName(v[7]) {
			continue
		}
		status, ok := parseExit(v[2])
		if !ok {
			continue
		}
		j := job{
			ID: v[0], State: v[1], Exit: status, Name: v[7], accounted: true,
			Submitted: parseTime(v[3]), Started: parseTime(v[4]), Ended: parseTime(v[5]),
		}
		if validNode(v[6]) {
			j.Node = v[6]
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}
