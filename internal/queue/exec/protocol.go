package exec

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"longhaul/internal/queue"
	"longhaul/internal/queue/cluster"
)

// told is a job as a command tells of it.
type told struct {
	ID        string `json:"id"`
	State     string `json:"state"`
	Name      string `json:"name"`
	Exit      *int   `json:"exit"`
	Signal    *int   `json:"signal"`
	Reason    string `json:"reason"`
	Node      string `json:"node"`
	Submitted int64  `json:"submitted"`
	Started   int64  `json:"started"`
	Ended     int64  `json:"ended"`
	Detail    string `json:"detail"`
}

// reasons are the words for why a job ended.
var reasons = map[string]queue.Reason{
	"exited": queue.Exited, "signal": queue.Signaled, "time-limit": queue.TimedOut, "out-of-memory": queue.OutOfMemory,
	"node-failure": queue.NodeFailed, "cancelled": queue.Cancelled, "preempted": queue.Preempted, "lost": queue.Lost,
}

// parse reads what a command tells: one job a line.
func parse(text []byte) ([]cluster.Job, error) {
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("its answer is not UTF-8")
	}
	var jobs []cluster.Job
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		t, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("its line %.80q: %w", line, err)
		}
		j, err := t.job()
		if err != nil {
			return nil, fmt.Errorf("its line %.80q: %w", line, err)
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

func parseLine(line string) (t told, err error) {
	if line[0] == '{' {
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&t); err != nil {
			return told{}, err
		}
		if d.More() {
			return told{}, fmt.Errorf("something follows the object")
		}
		return t, nil
	}
	words := strings.Fields(line)
	if len(words) < 2 {
		return told{}, fmt.Errorf("it has no state")
	}
	t.ID, t.State = words[0], words[1]
	for i, word := range words[2:] {
		key, value, ok := strings.Cut(word, "=")
		if !ok && i == 0 {
			key, value = "exit", word
		}
		if err := t.set(key, value); err != nil {
			return told{}, err
		}
	}
	return t, nil
}

func (t *told) set(key, value string) error {
	switch key {
	case "name":
		t.Name = value
	case "reason":
		t.Reason = value
	case "node":
		t.Node = value
	case "exit", "signal", "submitted", "started", "ended":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("%s is no number", key)
		}
		small := int(n)
		switch key {
		case "exit":
			t.Exit = &small
		case "signal":
			t.Signal = &small
		case "submitted":
			t.Submitted = n
		case "started":
			t.Started = n
		case "ended":
			t.Ended = n
		}
	default:
		return fmt.Errorf("%.40q means nothing", key)
	}
	return nil
}

func (t told) job() (cluster.Job, error) {
	j := cluster.Job{ID: t.ID, Name: t.Name, Submitted: moment(t.Submitted)}
	j.State = queue.State{Detail: t.Detail, Node: t.Node, StartedAt: moment(t.Started)}
	switch t.State {
	case "queued":
		j.State.Phase = queue.Queued
	case "held":
		j.State.Phase, j.Stuck = queue.Queued, true
		if j.State.Detail == "" {
			j.State.Detail = "held"
		}
	case "running":
		j.State.Phase = queue.Running
	case "finished":
		return j, t.end(&j.State)
	default:
		return cluster.Job{}, fmt.Errorf("%.40q is no state", t.State)
	}
	return j, nil
}

// end completes the state of a job that has ended.
func (t told) end(s *queue.State) error {
	s.Phase, s.EndedAt = queue.Finished, moment(t.Ended)
	if t.Exit != nil && (*t.Exit < 0 || *t.Exit > 255) || t.Signal != nil && (*t.Signal < 1 || *t.Signal > 127) {
		return fmt.Errorf("there is no such exit status, or signal")
	}
	switch {
	case t.Signal != nil:
		s.Reason, s.ExitCode = queue.Signaled, 128+*t.Signal
	case t.Exit != nil:
		s.Reason, s.ExitCode = queue.Exited, *t.Exit
	default:
		s.Reason = queue.Lost
	}
	if t.Reason != "" {
		reason, ok := reasons[t.Reason]
		if !ok {
			return fmt.Errorf("%.40q is no reason", t.Reason)
		}
		if reason == queue.Exited && t.Exit == nil {
			return fmt.Errorf("exited, and no exit status")
		}
		s.Reason = reason
	}
	return nil
}

func moment(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
