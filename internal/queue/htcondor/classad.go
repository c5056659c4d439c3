package htcondor

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"longhaul/internal/queue"
	"longhaul/internal/queue/cluster"
)

// attributes are the ones that ad has.
const attributes = "ClusterId,ProcId,JobBatchName,JobStatus,QDate,NumJobStarts,JobCurrentStartDate,JobStartDate," +
	"CompletionDate,EnteredCurrentStatus,RemoteHost,LastRemoteHost,ExitBySignal,ExitCode,ExitSignal," +
	"HoldReason,HoldReasonCode,LastHoldReasonCode,LastJobStatus,RemoveReason"

// ad is a job's ClassAd. Times are seconds since 1970.
type ad struct {
	ClusterID            *int64 `json:"ClusterId"`
	ProcID               *int64 `json:"ProcId"`
	JobBatchName         string
	JobStatus            int
	QDate                int64
	NumJobStarts         int
	JobCurrentStartDate  int64
	JobStartDate         int64
	CompletionDate       int64
	EnteredCurrentStatus int64
	RemoteHost           string
	LastRemoteHost       string
	ExitBySignal         bool
	ExitCode             *int
	ExitSignal           int
	HoldReason           string
	HoldReasonCode       int
	LastHoldReasonCode   int
	LastJobStatus        int // before this one
	RemoveReason         string
}

// The values of JobStatus.
const (
	idle         = 1
	running      = 2
	removed      = 3
	completed    = 4
	held         = 5
	transferring = 6
	suspended    = 7
)

// parse reads the answer of condor_q, or of condor_history, with -json.
func parse(text []byte, history bool) ([]cluster.Job, error) {
	var ads []ad
	if err := json.Unmarshal(text, &ads); err != nil {
		return nil, fmt.Errorf("read HTCondor's answer: %w", err)
	}
	var jobs []cluster.Job
	for _, a := range ads {
		j, err := a.job(history)
		if err != nil {
			return nil, fmt.Errorf("read HTCondor's answer: %w", err)
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

func (a ad) job(history bool) (cluster.Job, error) {
	if a.ClusterID == nil || a.ProcID == nil || *a.ClusterID < 0 || *a.ProcID < 0 {
		return cluster.Job{}, errors.New("a job without its number")
	}
	j := cluster.Job{
		ID: fmt.Sprintf("%d.%d", *a.ClusterID, *a.ProcID), Name: a.JobBatchName, Submitted: moment(a.QDate),
	}
	s := &j.State
	switch {
	case a.JobStatus == removed && !history: // until all of it is gone from its node
		s.Phase, s.Detail = queue.Running, "being removed"
	case a.JobStatus == idle:
		s.Phase = queue.Queued
		if a.NumJobStarts > 0 {
			s.Detail = "lost its node, and is about to be removed"
		}
	case a.JobStatus == held:
		s.Phase, j.Stuck = queue.Queued, true
		s.Detail = "held: " + a.HoldReason
	case a.JobStatus == running, a.JobStatus == transferring:
		s.Phase = queue.Running
	case a.JobStatus == suspended:
		s.Phase, s.Detail = queue.Running, "suspended"
	case a.JobStatus == removed, a.JobStatus == completed:
		s.Phase = queue.Finished
	default:
		return cluster.Job{}, fmt.Errorf("job %s has JobStatus %d", j.ID, a.JobStatus)
	}
	if s.Phase == queue.Queued {
		return j, nil
	}
	s.Node, s.StartedAt = a.node(), moment(a.JobCurrentStartDate)
	if s.StartedAt.IsZero() {
		s.StartedAt = moment(a.JobStartDate)
	}
	if s.Phase == queue.Finished {
		a.end(s)
	}
	return j, nil
}

// end completes the state of a job that has ended.
func (a ad) end(s *queue.State) {
	s.EndedAt = moment(a.CompletionDate)
	if s.EndedAt.IsZero() {
		s.EndedAt = moment(a.EnteredCurrentStatus)
	}
	switch {
	case a.JobStatus == removed:
		s.Reason, s.Detail = a.removal(), a.RemoveReason
	case a.ExitBySignal:
		s.Reason, s.ExitCode = queue.Signaled, 128+a.ExitSignal
	case a.ExitCode != nil:
		s.Reason, s.ExitCode = queue.Exited, *a.ExitCode
	default:
		s.Reason = queue.Lost
	}
}

// removal says why a job was removed: by its periodic_remove, or by somebody.
func (a ad) removal() queue.Reason {
	switch {
	case !strings.Contains(a.RemoveReason, "PeriodicRemove"):
		return queue.Cancelled
	case a.LastJobStatus == held && (a.HoldReasonCode == outOfMemory || a.LastHoldReasonCode == outOfMemory):
		return queue.OutOfMemory
	case a.LastJobStatus == idle:
		return queue.Preempted
	default:
		return queue.TimedOut
	}
}

// node is the host of "slot1_2@host".
func (a ad) node() string {
	where := a.RemoteHost
	if where == "" {
		where = a.LastRemoteHost
	}
	if _, host, ok := strings.Cut(where, "@"); ok {
		return host
	}
	return where
}

func moment(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
