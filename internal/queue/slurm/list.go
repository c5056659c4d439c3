package slurm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
)

// job is a line of squeue or sacct.
type job struct {
	ID, Name, Comment         string
	State, Reason             string
	Exit                      exit
	Submitted, Started, Ended time.Time // zero: not known
	Node                      string    // on which the batch script runs
	Stderr                    string    // path, "" if not known
	accounted                 bool      // comes from sacct
}

// fields of squeue. The path comes last, because it alone may hold any
// character; the name is of a job of ours or makes a line that no job has.
var fields = []string{
	"JobID", "State", "Reason", "exit_code", "SubmitTime", "StartTime", "EndTime", "BatchHost", "Name", "Comment", "STDERR",
}

// heading is how every answer of squeue begins, also one without jobs.
const heading = "JOBID|"

// jobs returns all jobs of our user that Slurm remembers, as they were at a
// time after the given one.
func (m *Manager) jobs(ctx context.Context, after time.Time) ([]job, error) {
	if last := m.lastChange(); last.After(after) {
		after = last
	}
	return m.list.Get(ctx, after, m.askJobs)
}

// askJobs is jobs, as they are now.
func (m *Manager) askJobs(ctx context.Context) ([]job, error) {
	out, err := m.run.Run(ctx, nil, "squeue", "--states=all", "--user="+uid(), "--Format="+strings.Join(fields, ":|,")+":|")
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		return nil, unanswered("squeue", out)
	}
	jobs, err := parseQueue(out.Stdout)
	if err != nil {
		return nil, pipeline.Outage(pipeline.QueueManager, fmt.Errorf("squeue: %w", err))
	}
	return jobs, nil
}

// unanswered is the error for a command that failed.
func unanswered(command string, out batch.Output) error {
	return pipeline.Outage(pipeline.QueueManager, fmt.Errorf("%s: %s", command, out.Words()))
}

var errNoAnswer = errors.New("its answer is cut off or no list of jobs")

// parseQueue reads the answer of squeue. Lines that are not of the form of a
// job's are left out: other jobs of our user may have line ends in their names.
func parseQueue(text []byte) ([]job, error) {
	if !bytes.HasPrefix(text, []byte(heading)) || !bytes.HasSuffix(text, []byte("\n")) {
		return nil, errNoAnswer
	}
	var jobs []job
	for line := range strings.Lines(string(text)) {
		if j, ok := parseQueueLine(strings.TrimSuffix(line, "\n")); ok {
			jobs = append(jobs, j)
		}
	}
	return jobs, nil
}

func parseQueueLine(line string) (job, bool) {
	v := strings.SplitN(line, "|", len(fields))
	if len(v) != len(fields) || !strings.HasSuffix(v[len(v)-1], "|") || !validID(v[0]) || !queue.ValidName(v[8]) {
		return job{}, false
	}
	status, ok := parseExit(v[3])
	if !ok {
		return job{}, false
	}
	j := job{
		ID: v[0], State: v[1], Reason: v[2], Exit: status, Name: v[8], Comment: v[9],
		Submitted: parseTime(v[4]), Started: parseTime(v[5]), Ended: parseTime(v[6]),
		Stderr: unescape(strings.TrimSuffix(v[10], "|")),
	}
	if validNode(v[7]) {
		j.Node = v[7]
	}
	return j, true
}

// parseTime reads seconds since 1970; "N/A", "Unknown" and the like are zero.
func parseTime(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > 1<<40 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// validNode reports whether s is the name of one node: no list, no "n/a".
func validNode(s string) bool {
	for i, c := range []byte(s) {
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && (i == 0 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return s != "" && len(s) < 256 && s != "None"
}

// ours reports whether a job was submitted by a Manager like this: others of
// the same user are not counted, and never deleted.
func (m *Manager) ours(j job) bool {
	return strings.HasPrefix(j.Name, m.opt.Prefix) && (j.Comment == j.Name || m.opt.Prefix != "")
}

// named returns the jobs of a name, the one that got farthest first. Some
// sites' plug-ins change a job's name or comment; one of them is enough.
func named(jobs []job, name string) []job {
	var found []job
	for _, j := range jobs {
		if j.Name == name || j.Comment == name {
			found = append(found, j)
		}
	}
	slices.SortStableFunc(found, func(a, b job) int { return rank(a) - rank(b) })
	return found
}

func rank(j job) int {
	switch s := j.state(); {
	case s.Succeeded():
		return 0
	case s.Phase == queue.Running:
		return 1
	case s.Phase == queue.Queued:
		return 2
	}
	return 3
}
