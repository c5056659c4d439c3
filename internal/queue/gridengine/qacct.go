package gridengine

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"longhaul/internal/queue"
	"longhaul/internal/queue/cluster"
)

// The values of "failed" that have a meaning of their own, as sge_status(5)
// lists them.
const (
	failedMigrating    = 24
	failedRescheduling = 25
	failedAppError     = 30 // it exited with 100
	failedLimit        = 37
	failedAfterJob     = 100
)

// record is one record of "qacct -j".
type record map[string]string

// parseQacct reads the answer of "qacct -j", its times in UTC: for each job its
// last record, those before it being of runs that were requeued.
func parseQacct(text []byte) ([]cluster.Job, error) {
	var jobs []cluster.Job
	index := make(map[string]int)
	for _, r := range split(string(text)) {
		j, err := r.job()
		if err != nil {
			return nil, fmt.Errorf("read qacct's answer: %w", err)
		}
		key := j.ID + " " + j.Name
		i, again := index[key]
		if !again {
			index[key] = len(jobs)
			jobs = append(jobs, j)
			continue
		}
		// The time of a requeued job is when it was put back, or none.
		if !jobs[i].Submitted.IsZero() {
			j.Submitted = jobs[i].Submitted
		}
		jobs[i] = j
	}
	if len(jobs) == 0 {
		return nil, errors.New("read qacct's answer: it has no record")
	}
	return jobs, nil
}

// split cuts an answer into its records; what is before the first, and the
// summary after the last, has no line of "=".
func split(text string) (all []record) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if len(line) >= 10 && strings.Trim(line, "=") == "" {
			all = append(all, make(record))
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		if n := len(all); n > 0 && key != "" {
			// The summary's lines begin with what no field is called.
			if _, twice := all[n-1][key]; !twice {
				all[n-1][key] = strings.TrimSpace(value)
			}
		}
	}
	// Before the summary's figures stands a line of "=" too.
	for n := len(all); n > 0 && all[n-1]["jobnumber"] == ""; n-- {
		all = all[:n-1]
	}
	return all
}

// number returns the number at the beginning of a field, such as 37 of
// "37  : qmaster enforced h_rt".
func (r record) number(key string) (int, error) {
	first, _, _ := strings.Cut(r[key], " ")
	n, err := strconv.Atoi(first)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s is %.40q", key, r[key])
	}
	return n, nil
}

func (r record) job() (cluster.Job, error) {
	id := r["jobnumber"]
	if _, err := strconv.ParseUint(id, 10, 32); err != nil || r["jobname"] == "" {
		return cluster.Job{}, fmt.Errorf("a record of job %.40q named %.40q", id, r["jobname"])
	}
	failed, err := r.number("failed")
	if err != nil {
		return cluster.Job{}, err
	}
	status, err := r.number("exit_status")
	if err != nil {
		return cluster.Job{}, err
	}
	s := queue.State{
		Phase: queue.Finished, ExitCode: status, Node: r["hostname"],
		StartedAt: qacctTime(r["start_time"]), EndedAt: qacctTime(r["end_time"]),
	}
	s.Reason = r.reason(failed, status)
	if failed != 0 {
		s.Detail = "failed " + strings.Join(strings.Fields(r["failed"]), " ")
	}
	return cluster.Job{ID: id, Name: r["jobname"], Submitted: qacctTime(r["qsub_time"]), State: s}, nil
}

func (r record) reason(failed, status int) queue.Reason {
	switch {
	case failed == 0, failed == failedAppError:
		return queue.Exited
	case failed == failedAfterJob && status > 128:
		return queue.Signaled
	case failed == failedLimit && r.outOfMemory():
		return queue.OutOfMemory
	case failed == failedLimit:
		return queue.TimedOut
	case failed == failedMigrating, failed == failedRescheduling:
		return queue.Preempted
	default:
		return queue.NodeFailed
	}
}

// outOfMemory reports whether the limit that a job ran into was that of its memory.
func (r record) outOfMemory() bool {
	_, limit, ok := strings.Cut(r["category"], "h_vmem=")
	if !ok {
		return false
	}
	if end := strings.IndexAny(limit, ", "); end >= 0 {
		limit = limit[:end]
	}
	slots, err := r.number("slots")
	if err != nil {
		slots = 1
	}
	most := quantity(limit) * float64(max(1, slots))
	return most > 0 && quantity(r["maxvmem"]) >= most
}

// quantity reads an amount of memory as qsub takes it and qacct tells it, such
// as "1073741824", "1.5G" or "359.734MB", in bytes; 0 if it is none.
func quantity(s string) float64 {
	s = strings.TrimSuffix(s, "B")
	digits := strings.TrimRight(s, "KMGTkmgt")
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || n < 0 || len(s)-len(digits) > 1 {
		return 0
	}
	switch s[len(digits):] {
	case "K":
		n *= 1 << 10
	case "M":
		n *= 1 << 20
	case "G":
		n *= 1 << 30
	case "T":
		n *= 1 << 40
	case "k":
		n *= 1e3
	case "m":
		n *= 1e6
	case "g":
		n *= 1e9
	case "t":
		n *= 1e12
	}
	return n
}

// qacctTime reads a time; "-/-" and the year 1970 are none.
func qacctTime(s string) time.Time {
	for _, layout := range []string{"Mon Jan _2 15:04:05 2006", "01/02/2006 15:04:05.000", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() > 1970 {
			return t
		}
	}
	return time.Time{}
}
