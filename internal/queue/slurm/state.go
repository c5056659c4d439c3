package slurm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"longhaul/internal/queue"
)

// exit is how a job's batch script ended.
type exit struct {
	code   int // if it exited
	signal int // if that killed it; 0: none
	slurm  int // Slurm's own error that kept it from running; 0: none
}

// The signal numbers of an end that are no signals.
const (
	sigOOM        = 125 // Slurm's word for out of memory
	firstNoSignal = 32  // in the accounting, the last bits of an error of Slurm's
)

// parseExit reads squeue's exit_code, which is wait(2)'s status or the number
// of an error of Slurm's, or CODE:SIGNAL as in the accounting.
func parseExit(s string) (exit, bool) {
	code, signal, pair := strings.Cut(s, ":")
	c, err := strconv.ParseUint(code, 10, 16)
	if err != nil {
		return exit{}, false
	}
	if pair {
		n, err := strconv.ParseUint(signal, 10, 8)
		e := exit{code: int(c), signal: int(n)}
		if firstNoSignal <= n && n != sigOOM {
			e = exit{slurm: int(n)}
		}
		return e, err == nil && c <= 255
	}
	switch status := int(c); {
	case status&0xff == 0:
		return exit{code: status >> 8}, true
	case status>>8 == 0:
		return exit{signal: status & 0x7f}, true // without the bit for a core file
	default:
		return exit{slurm: status}, true
	}
}

// words of JobState in which a job has not begun, or still runs. Anything that
// is in no list has not ended as far as we know.
var (
	waits = []string{"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT", "POWER_UP_NODE"}
	runs  = []string{"RUNNING", "COMPLETING", "SUSPENDED", "SIGNALING", "STAGE_OUT", "STOPPED", "RESIZING"}
	ends  = map[string]queue.Reason{
		"COMPLETED": queue.Exited, "FAILED": queue.Exited,
		"TIMEOUT": queue.TimedOut, "DEADLINE": queue.TimedOut,
		"OUT_OF_MEMORY": queue.OutOfMemory,
		"NODE_FAIL":     queue.NodeFailed, "BOOT_FAIL": queue.NodeFailed,
		"CANCELLED": queue.Cancelled, "REVOKED": queue.Cancelled,
		"PREEMPTED": queue.Preempted,
	}
)

// state is what j means, but for what only a job's own files can tell.
func (j job) state() queue.State {
	word, _, _ := strings.Cut(j.State, " ") // "CANCELLED by 1000"
	s := queue.State{Node: j.Node}
	reason, ended := ends[word]
	switch {
	case ended:
		s.Phase, s.Reason = queue.Finished, reason
		s.StartedAt, s.EndedAt = j.Started, j.Ended
		j.end(word, &s)
	case slices.Contains(waits, word):
		s.Phase, s.Detail = queue.Queued, j.waitsFor(word)
	default:
		s.Phase, s.StartedAt = queue.Running, j.Started
		switch {
		case !slices.Contains(runs, word):
			s.Detail = "unknown state " + j.State
		case word != "RUNNING":
			s.Detail = strings.ToLower(word)
		}
	}
	return s
}

// end fills in how a job ended.
func (j job) end(word string, s *queue.State) {
	if s.Reason != queue.Exited {
		s.Detail = detail(word, j.Reason)
		if s.Reason != queue.OutOfMemory && j.Exit.signal != 0 {
			s.ExitCode = 128 + j.Exit.signal
		}
		return
	}
	switch {
	case word == "COMPLETED":
	case j.Exit.slurm != 0:
		s.Reason, s.Detail = queue.NodeFailed, detail(fmt.Sprintf("could not be started: error %d", j.Exit.slurm), j.Reason)
	case j.Exit.signal == sigOOM:
		s.Reason = queue.OutOfMemory
	case j.Exit.signal != 0:
		s.Reason, s.ExitCode = queue.Signaled, 128+j.Exit.signal
	case j.Exit.code != 0:
		s.ExitCode = j.Exit.code
	default: // failed with 0: whatever that was, it was not the job that ended well
		s.Reason, s.Detail = queue.Lost, detail(word, j.Reason)
	}
}

// detail is Slurm's words for a state, if they say more than the state.
func detail(word, reason string) string {
	if reason == "" || reason == "None" {
		return word
	}
	return word + ", " + reason
}

// never are reasons for which a job waits until somebody does something.
var never = map[string]string{
	"PartitionConfig":          "the partition has no such nodes",
	"PartitionTimeLimit":       "its time limit is above the partition's",
	"PartitionNodeLimit":       "it asks for more nodes than the partition allows",
	"PartitionDown":            "the partition is down",
	"PartitionInactive":        "the partition is inactive",
	"BadConstraints":           "no node is like that",
	"DependencyNeverSatisfied": "what it depends on failed",
	"JobHeldUser":              "it is held by its user",
	"JobHeldAdmin":             "it is held by an administrator",
	"InvalidAccount":           "its account is invalid",
	"InvalidQOS":               "its qos is invalid",
	"AccountNotAllowed":        "the partition does not take its account",
	"QOSNotAllowed":            "the partition does not take its qos",
	"ReservationDeleted":       "its reservation was deleted",
}

// NeverStarts is how State.Detail begins of a submission that waits for
// somebody to do something about it.
const NeverStarts = "will not start by itself: "

// waitsFor says why a job waits, and whether that can end.
func (j job) waitsFor(word string) string {
	why, stuck := never[j.Reason]
	switch {
	case stuck:
		return fmt.Sprintf("%s%s (%s)", NeverStarts, why, j.Reason)
	case word != "PENDING":
		return detail(word, j.Reason)
	case j.Reason == "None":
		return ""
	}
	return j.Reason
}

// heldForGood reports whether Slurm tried to start a job, could not, and will
// keep it for ever: "launch failed requeued held", or the same with underscores.
func (j job) heldForGood() bool {
	reason := strings.ReplaceAll(strings.ToLower(j.Reason), " ", "_")
	return slices.Contains(waits, j.State) && (strings.HasSuffix(reason, "failed_requeued_held") || j.Reason == "JobHoldMaxRequeue")
}
