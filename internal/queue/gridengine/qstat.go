package gridengine

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"longhaul/internal/queue"
	"longhaul/internal/queue/cluster"
)

// qstatJob is a job_list element of "qstat -xml".
type qstatJob struct {
	Number    string `xml:"JB_job_number"`
	Name      string `xml:"JB_name"`
	State     string `xml:"state"`
	Started   string `xml:"JAT_start_time"`
	Submitted string `xml:"JB_submission_time"`
	Queue     string `xml:"queue_name"`
}

// parseQstat reads the answer of "qstat -xml", its times in UTC. Anything but a
// whole answer is an error, never an empty list.
func parseQstat(text []byte) ([]cluster.Job, error) {
	var root struct {
		XMLName xml.Name   `xml:"job_info"`
		Queue   []qstatJob `xml:"queue_info>job_list"`
		Job     []qstatJob `xml:"job_info>job_list"`
	}
	// It copies names as they are; one of ours is never touched by this.
	clean := bytes.Map(printable, bytes.ToValidUTF8(text, []byte("?")))
	d := xml.NewDecoder(bytes.NewReader(clean))
	if err := d.Decode(&root); err != nil {
		return nil, fmt.Errorf("read qstat's answer: %w", err)
	}
	if len(bytes.TrimSpace(clean[d.InputOffset():])) > 0 {
		return nil, errors.New("read qstat's answer: something follows its end")
	}
	var jobs []cluster.Job
	for _, q := range append(root.Queue, root.Job...) {
		if _, err := strconv.ParseUint(q.Number, 10, 32); err != nil || q.State == "" {
			return nil, fmt.Errorf("read qstat's answer: job %.40q in state %.40q", q.Number, q.State)
		}
		jobs = append(jobs, q.job())
	}
	return jobs, nil
}

// printable replaces what XML cannot hold.
func printable(c rune) rune {
	if c < ' ' && c != '\n' && c != '\t' && c != '\r' || c == 0xFFFE || c == 0xFFFF {
		return '?'
	}
	return c
}

func (q qstatJob) job() cluster.Job {
	j := cluster.Job{ID: q.Number, Name: q.Name, State: queue.State{Detail: stateWords(q.State)}}
	if strings.Contains(q.State, "q") {
		j.State.Phase = queue.Queued
		j.Stuck = strings.Contains(q.State, "E")
		// Of a requeued job this is when it was put back.
		if !strings.Contains(q.State, "R") {
			j.Submitted = qstatTime(q.Submitted)
		}
		return j
	}
	j.State.Phase = queue.Running
	j.State.StartedAt = qstatTime(q.Started)
	_, j.State.Node, _ = strings.Cut(q.Queue, "@")
	return j
}

// stateWords says what is unusual about a state.
func stateWords(state string) string {
	var words []string
	for _, s := range []struct{ letters, words string }{
		{"E", "in the error state; qstat -j tells why, qmod -cj clears it"},
		{"h", "held"},
		{"R", "requeued"},
		{"sST", "suspended"},
		{"d", "being deleted"},
	} {
		if strings.ContainsAny(state, s.letters) {
			words = append(words, s.words)
		}
	}
	return strings.Join(words, ", ")
}

// qstatTime reads a time; some versions tell fractions of a second, which are
// allowed by the layout too.
func qstatTime(s string) time.Time {
	t, err := time.Parse("2006-01-02T15:04:05", s)
	if err != nil {
		return time.Time{}
	}
	return t
}
