package pipeline

import "slices"

// Entity names a kind of thing that the job-tracker tracks.
type Entity string

// The five entities that have a status, and Operator for events that concern
// the system as a whole (an outage, a pause).
const (
	EntityRequest Entity = "request"
	EntityFile    Entity = "file"
	EntityAttempt Entity = "attempt"
	EntityJob     Entity = "job"
	EntitySubmit  Entity = "submit"
	EntitySystem  Entity = "system"
)

// IDs are the rows' keys in the job-tracker, one type for each entity so that
// one cannot be passed for another.
type (
	RequestID int64
	FileID    int64
	AttemptID int64
	JobID     int64
	SubmitID  int64
)

// Status is the state of a request, file, download attempt, job or submit.
type Status string

// The statuses, in the original pipeline's words. Submitting and Removed are
// ours: the intent before the queue manager is asked, and a submit that was
// taken back, by an operator or because its job is not to blame for its end.
const (
	Created            Status = "" // before the row exists
	Waiting            Status = "waiting"
	Finished           Status = "finished"
	New                Status = "new"
	Added              Status = "added"
	Retrying           Status = "retrying"
	Downloading        Status = "downloading"
	Unverified         Status = "unverified"
	Downloaded         Status = "downloaded"
	Failed             Status = "failed"
	TerminalFailure    Status = "terminal_failure"
	Deleted            Status = "deleted"
	Complete           Status = "complete"
	DownloadFailed     Status = "download_failed"
	NoRemoteFile       Status = "no_remote_file"
	Unknown            Status = "unknown"
	VerificationFailed Status = "verification_failed"
	Submitting         Status = "submitting"
	Submitted          Status = "submitted"
	Running            Status = "running"
	SubmissionFailed   Status = "submission_failed"
	Processed          Status = "processed"
	ProcessingFailed   Status = "processing_failed"
	Stopped            Status = "stopped"
	RemovedByOperator  Status = "removed"
	Uploaded           Status = "uploaded"
	UploadFailed       Status = "upload_failed"
)

// Transition is one allowed change of status.
type Transition struct {
	From, To Status
	// Actor is who makes it: downloader, jobpooler, uploader, operator. Two of
	// them can make the same one, each for a reason of its own.
	Actor string
	// When says in a few words what makes it happen; the diagrams show it.
	When string
}

// Machine is the whole life of one entity.
type Machine struct {
	Entity      Entity
	Transitions []Transition
}

// Machines returns the state machines of the five entities, in the order in
// which data passes through them. The CHECK constraints of the schema and the
// diagrams in docs/states.md are held against this table by tests.
func Machines() []Machine {
	return []Machine{
		{EntityRequest, []Transition{
			{Created, Waiting, "downloader", "there is room for more data"},
			{Waiting, Finished, "downloader", "the files are listed"},
			{Waiting, Failed, "downloader", "the archive refuses, or request_timeout has passed"},
		}},
		{EntityFile, []Transition{
			{Created, New, "downloader", "found in a listing"},
			{Created, Added, "operator", "add-files"},
			{New, Downloading, "downloader", "a slot and the space are free"},
			{Retrying, Downloading, "downloader", "its time has come"},
			{Downloading, Unverified, "downloader", "the transfer ended"},
			{Downloading, Failed, "downloader", "the transfer broke"},
			{Unverified, Downloaded, "downloader", "size and checksum agree"},
			{Unverified, Failed, "downloader", "size or checksum differ"},
			{Failed, Retrying, "downloader", "attempts are left"},
			{Failed, TerminalFailure, "downloader", "numretries used up, or gone from the archive"},
			{Downloaded, Deleted, "uploader", "its jobs are done"},
			{Added, Deleted, "uploader", "its jobs are done"},
			{TerminalFailure, Deleted, "operator", "remove-files"},
			{TerminalFailure, Retrying, "operator", "retry-files"},
		}},
		{EntityAttempt, []Transition{
			{Created, Downloading, "downloader", "the transfer starts"},
			{Downloading, Complete, "downloader", "all bytes are here"},
			{Downloading, DownloadFailed, "downloader", "the transfer broke"},
			{Downloading, NoRemoteFile, "downloader", "the file server has no such file"},
			{Downloading, Unknown, "downloader", "stopped or killed in between"},
			{Complete, Downloaded, "downloader", "size and checksum agree"},
			{Complete, VerificationFailed, "downloader", "size or checksum differ"},
			{Unknown, Downloaded, "downloader", "size and checksum agree"},
			{Unknown, VerificationFailed, "downloader", "not all there: goes on from here"},
		}},
		{EntityJob, []Transition{
			{Created, New, "jobpooler", "a group is complete"},
			{New, Submitted, "jobpooler", "the queue has room"},
			{Retrying, Submitted, "jobpooler", "its time has come"},
			{New, Failed, "jobpooler", "it cannot be submitted"},
			{Retrying, Failed, "jobpooler", "it cannot be submitted"},
			{Submitted, Processed, "jobpooler", "ended well, results are there"},
			{Submitted, Failed, "jobpooler", "ended badly"},
			{Submitted, Retrying, "jobpooler", "taken back, refused during a pause, or never reached the queue"},
			{Processed, Uploaded, "uploader", "committed and read back"},
			{Processed, Failed, "uploader", "results cannot be uploaded"},
			{Processed, Retrying, "operator", "stop-jobs --also-processed"},
			{Failed, Retrying, "jobpooler", "attempts are left, or the breaker tripped: it does not count"},
			{Failed, TerminalFailure, "jobpooler", "max_attempts used up"},
			{New, TerminalFailure, "operator", "kill-jobs"},
			{Retrying, TerminalFailure, "operator", "kill-jobs"},
			{TerminalFailure, Retrying, "operator", "retry-jobs"},
			{TerminalFailure, Retrying, "jobpooler", "the breaker tripped: one of its failures does not count"},
		}},
		{EntitySubmit, []Transition{
			{Created, Submitting, "jobpooler", "about to ask the queue manager"},
			{Submitting, Running, "jobpooler", "the queue manager has it"},
			{Submitting, SubmissionFailed, "jobpooler", "refused, or never arrived"},
			{Running, Processed, "jobpooler", "ended well, results are there"},
			{Running, ProcessingFailed, "jobpooler", "ended badly"},
			{Running, Stopped, "operator", "stop-jobs --fail"},
			{Running, RemovedByOperator, "operator", "stop-jobs"},
			{Running, RemovedByOperator, "jobpooler", "the site is to blame for its end, or submissions are paused by the breaker"},
			{ProcessingFailed, RemovedByOperator, "jobpooler", "the breaker tripped: it does not count"},
			{SubmissionFailed, RemovedByOperator, "jobpooler", "the breaker tripped: it does not count"},
			{Processed, Uploaded, "uploader", "committed and read back"},
			{Processed, UploadFailed, "uploader", "results cannot be uploaded"},
			{Processed, Stopped, "operator", "stop-jobs --also-processed --fail"},
			{Processed, RemovedByOperator, "operator", "stop-jobs --also-processed"},
		}},
	}
}

// MachineOf returns the state machine of an entity; the zero Machine, which
// allows nothing, if it has none.
func MachineOf(e Entity) Machine {
	for _, m := range Machines() {
		if m.Entity == e {
			return m
		}
	}
	return Machine{Entity: e}
}

// Allows reports whether the entity may pass from one status to another.
func (m Machine) Allows(from, to Status) bool {
	return slices.ContainsFunc(m.Transitions, func(t Transition) bool {
		return t.From == from && t.To == to
	})
}

// Statuses returns every status the entity can have, in the order of the table.
func (m Machine) Statuses() []Status {
	var all []Status
	for _, t := range m.Transitions {
		for _, s := range []Status{t.From, t.To} {
			if s != Created && !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

// Final returns the statuses that nothing leaves.
func (m Machine) Final() []Status {
	return slices.DeleteFunc(m.Statuses(), func(s Status) bool {
		return slices.ContainsFunc(m.Transitions, func(t Transition) bool { return t.From == s })
	})
}
