package operator

import (
	"time"

	"longhaul/internal/pipeline"
)

// The views are the rows of the job-tracker as --json shows them. Their keys
// are kept stable for programs that read them; times are RFC 3339 in UTC, and
// left out where there is none. Sizes are bytes.

// RequestView is one request.
type RequestView struct {
	ID        pipeline.RequestID `json:"id"`
	GUID      string             `json:"guid"`
	Number    int                `json:"number"`
	Numbits   int                `json:"numbits"`
	Datatype  string             `json:"datatype"`
	Size      int64              `json:"size"`
	Status    pipeline.Status    `json:"status"`
	Details   string             `json:"details"`
	CreatedAt time.Time          `json:"created_at,omitzero"`
	UpdatedAt time.Time          `json:"updated_at,omitzero"`
}

// FileView is one file.
type FileView struct {
	ID             pipeline.FileID    `json:"id"`
	RequestID      pipeline.RequestID `json:"request_id,omitempty"`
	Filename       string             `json:"filename"`
	RemoteFilename string             `json:"remote_filename"`
	Path           string             `json:"path"`
	Size           int64              `json:"size"`
	Bytes          int64              `json:"bytes"`
	ModTime        time.Time          `json:"mod_time,omitzero"`
	Checksum       string             `json:"checksum"`
	Digest         string             `json:"digest"`
	Product        string             `json:"product"`
	GroupKey       string             `json:"group_key"`
	Metadata       map[string]string  `json:"metadata"`
	Attempts       int                `json:"attempts"`
	NextTry        time.Time          `json:"next_try_at,omitzero"`
	DeleteWanted   bool               `json:"delete_wanted"`
	Status         pipeline.Status    `json:"status"`
	Details        string             `json:"details"`
	CreatedAt      time.Time          `json:"created_at,omitzero"`
	UpdatedAt      time.Time          `json:"updated_at,omitzero"`
}

// AttemptView is one download attempt.
type AttemptView struct {
	ID        pipeline.AttemptID `json:"id"`
	FileID    pipeline.FileID    `json:"file_id"`
	Offset    int64              `json:"offset"`
	Bytes     int64              `json:"bytes"`
	Status    pipeline.Status    `json:"status"`
	Details   string             `json:"details"`
	CreatedAt time.Time          `json:"created_at,omitzero"`
	UpdatedAt time.Time          `json:"updated_at,omitzero"`
}

// JobView is one job.
type JobView struct {
	ID         pipeline.JobID    `json:"id"`
	Name       string            `json:"name"`
	Stage      string            `json:"stage"`
	Product    string            `json:"product"`
	GroupKey   string            `json:"group_key"`
	Metadata   map[string]string `json:"metadata"`
	Size       int64             `json:"size"`
	Attempts   int               `json:"attempts"`
	SiteFaults int               `json:"site_faults"`
	NextTry    time.Time         `json:"next_try_at,omitzero"`
	Status     pipeline.Status   `json:"status"`
	Details    string            `json:"details"`
	CreatedAt  time.Time         `json:"created_at,omitzero"`
	UpdatedAt  time.Time         `json:"updated_at,omitzero"`
}

// SubmitView is one submit.
type SubmitView struct {
	ID          pipeline.SubmitID `json:"id"`
	JobID       pipeline.JobID    `json:"job_id"`
	Name        string            `json:"name"`
	Manager     string            `json:"manager"`
	QueueID     string            `json:"queue_id"`
	OutputDir   string            `json:"output_dir"`
	Status      pipeline.Status   `json:"status"`
	Details     string            `json:"details"`
	Node        string            `json:"node"`
	Version     string            `json:"version"`
	SiteFault   bool              `json:"site_fault"`
	SubmittedAt time.Time         `json:"submitted_at,omitzero"`
	StartedAt   time.Time         `json:"started_at,omitzero"`
	EndedAt     time.Time         `json:"ended_at,omitzero"`
	CreatedAt   time.Time         `json:"created_at,omitzero"`
	UpdatedAt   time.Time         `json:"updated_at,omitzero"`
}

// EventView is one line of the history.
type EventView struct {
	ID       int64           `json:"id"`
	At       time.Time       `json:"at"`
	Entity   pipeline.Entity `json:"entity"`
	EntityID int64           `json:"entity_id"`
	Was      pipeline.Status `json:"was,omitempty"`
	Became   pipeline.Status `json:"became,omitempty"`
	Actor    string          `json:"actor"`
	Note     string          `json:"note"`
}

// Views converts rows to views, as Views(files, operator.ViewFile). It never
// returns nil, so that an empty list is [] in JSON.
func Views[T, V any](rows []T, view func(T) V) []V {
	all := make([]V, 0, len(rows))
	for _, r := range rows {
		all = append(all, view(r))
	}
	return all
}

// ViewRequest is the view of a request. A view has the fields of its row, in
// the same order, and only the keys of JSON beside them.
func ViewRequest(r pipeline.Request) RequestView { return RequestView(r) }

// ViewFile is the view of a file.
func ViewFile(f pipeline.File) FileView { return FileView(f) }

// ViewAttempt is the view of a download attempt.
func ViewAttempt(a pipeline.Attempt) AttemptView { return AttemptView(a) }

// ViewJob is the view of a job.
func ViewJob(j pipeline.Job) JobView { return JobView(j) }

// ViewSubmit is the view of a submit.
func ViewSubmit(s pipeline.Submit) SubmitView { return SubmitView(s) }

// ViewEvent is the view of an event.
func ViewEvent(e pipeline.Event) EventView { return EventView(e) }
