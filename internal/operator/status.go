package operator

import (
	"context"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
)

// Status is how things stand.
type Status struct {
	At          time.Time      `json:"at"`
	Survey      string         `json:"survey"`
	Institution string         `json:"institution"`
	Pauses      []PauseView    `json:"pauses"`
	Daemons     []Daemon       `json:"daemons"`
	Outages     []OutageView   `json:"outages"`
	Recent      []EventView    `json:"recent"`   // about the system as a whole, the latest first
	Requests    map[string]int `json:"requests"` // of each status; so the next four
	Files       map[string]int `json:"files"`
	Attempts    map[string]int `json:"attempts"`
	Jobs        map[string]int `json:"jobs"`
	Submits     map[string]int `json:"submits"`
	Room        *Room          `json:"space,omitempty"` // nil if the disk cannot be asked
	RoomError   string         `json:"space_error,omitempty"`
	Downloads   []Download     `json:"downloads"`
	Slots       int            `json:"download_slots"`
	Running     []RunningJob   `json:"running_jobs"`
	MaxRunning  int            `json:"max_jobs_running"`
	Attention   []Attention    `json:"attention"`
	Mail        Mail           `json:"mail"`
}

// OutageView is an outside system that does not answer.
type OutageView struct {
	System pipeline.System `json:"system"`
	Daemon string          `json:"daemon"` // which noticed it
	Since  time.Time       `json:"since"`
	Error  string          `json:"error"`
}

// Download is a file that is being fetched.
type Download struct {
	FileID   pipeline.FileID `json:"file_id"`
	Filename string          `json:"filename"`
	Size     int64           `json:"size"`
	Bytes    int64           `json:"bytes"`
	Since    time.Time       `json:"since"`
	LastWord time.Time       `json:"last_word"`    // when progress was last recorded
	Rate     float64         `json:"rate"`         // bytes a second, 0 while not known
	Left     float64         `json:"seconds_left"` // at that rate, 0 while not known
}

// RunningJob is a job that is in the queue.
type RunningJob struct {
	JobID     pipeline.JobID    `json:"job_id"`
	Name      string            `json:"name"`
	Stage     string            `json:"stage"`
	SubmitID  pipeline.SubmitID `json:"submit_id"`
	QueueID   string            `json:"queue_id"`
	Attempt   int               `json:"attempt"`
	Node      string            `json:"node,omitempty"`
	Submitted time.Time         `json:"submitted_at"`
	Started   time.Time         `json:"started_at,omitzero"` // zero: still waits in the queue, as far as is known
}

// Attention is something that a person should look at.
type Attention struct {
	What    string    `json:"what"`
	Since   time.Time `json:"since,omitzero"`
	Command string    `json:"command"` // that tells more, or helps
}

// Mail is what waits in the outbox.
type Mail struct {
	Enabled bool      `json:"enabled"`
	Notices int       `json:"notices"` // that no mail carries yet
	Unsent  int       `json:"unsent"`  // mails that no server took yet
	Oldest  time.Time `json:"oldest,omitzero"`
}

// Status looks at everything once.
func (o *Operator) Status(ctx context.Context) (Status, error) {
	s := Status{
		At: o.Now().UTC(), Survey: o.Config.Basic.Survey, Institution: o.Config.Basic.Institution,
		Slots: o.Config.Download.NumDownloads, MaxRunning: o.Config.JobPooler.MaxJobsRunning,
	}
	var err error
	if s.Daemons, err = o.daemons(ctx); err != nil {
		return s, err
	}
	for _, part := range []func(context.Context, *Status) error{
		o.statusPauses, o.statusOutages, o.statusCounts, o.statusRoom, o.statusDownloads, o.statusJobs, o.statusMail, o.statusAttention,
	} {
		if err := part(ctx, &s); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (o *Operator) statusOutages(ctx context.Context, s *Status) error {
	outages, err := o.Store.Outages(ctx)
	s.Outages = Views(outages, func(x jobtracker.Outage) OutageView { return OutageView(x) })
	return err
}

func (o *Operator) statusCounts(ctx context.Context, s *Status) error {
	counts, err := o.Store.Counts(ctx)
	plain := func(e pipeline.Entity) map[string]int {
		m := make(map[string]int, len(counts[e]))
		for status, n := range counts[e] {
			m[string(status)] = n
		}
		return m
	}
	s.Requests, s.Files, s.Attempts = plain(pipeline.EntityRequest), plain(pipeline.EntityFile), plain(pipeline.EntityAttempt)
	s.Jobs, s.Submits = plain(pipeline.EntityJob), plain(pipeline.EntitySubmit)
	return err
}

func (o *Operator) statusRoom(ctx context.Context, s *Status) error {
	if _, err := disk.Free(o.Config.Download.Temp); err != nil {
		s.RoomError = err.Error()
		return nil
	}
	room, err := o.room(ctx)
	s.Room = &room
	return err
}

func (o *Operator) statusDownloads(ctx context.Context, s *Status) error {
	attempts, err := o.Store.AttemptsIn(ctx, pipeline.Downloading)
	if err != nil {
		return err
	}
	s.Downloads = []Download{}
	for _, a := range attempts {
		f, err := o.Store.File(ctx, a.FileID)
		if err != nil {
			return err
		}
		s.Downloads = append(s.Downloads, download(f, a))
	}
	return nil
}

func download(f pipeline.File, a pipeline.Attempt) Download {
	d := Download{FileID: f.ID, Filename: f.Filename, Size: f.Size, Bytes: f.Bytes,
		Since: a.CreatedAt, LastWord: a.UpdatedAt}
	if took := a.UpdatedAt.Sub(a.CreatedAt).Seconds(); took > 0 && a.Bytes > 0 {
		d.Rate = float64(a.Bytes) / took
		d.Left = float64(max(f.Size-f.Bytes, 0)) / d.Rate
	}
	return d
}

func (o *Operator) statusJobs(ctx context.Context, s *Status) error {
	s.Running = []RunningJob{}
	for _, status := range []pipeline.Status{pipeline.Running, pipeline.Submitting} {
		submits, err := o.Store.SubmitsIn(ctx, status)
		if err != nil {
			return err
		}
		for _, sub := range submits {
			j, err := o.Store.Job(ctx, sub.JobID)
			if err != nil {
				return err
			}
			s.Running = append(s.Running, RunningJob{
				JobID: j.ID, Name: j.Name, Stage: j.Stage, SubmitID: sub.ID, QueueID: sub.QueueID,
				Attempt: j.Attempts + 1, Node: sub.Node, Submitted: sub.SubmittedAt, Started: sub.StartedAt,
			})
		}
	}
	return nil
}

func (o *Operator) statusMail(ctx context.Context, s *Status) error {
	pending, err := o.Store.PendingNotices(ctx)
	if err != nil {
		return err
	}
	unsent, err := o.Store.UnsentMails(ctx)
	if err != nil {
		return err
	}
	s.Mail = Mail{Enabled: o.Config.Email.Enabled, Unsent: len(unsent)}
	older := func(t time.Time) {
		if s.Mail.Oldest.IsZero() || t.Before(s.Mail.Oldest) {
			s.Mail.Oldest = t
		}
	}
	for _, p := range pending {
		s.Mail.Notices += p.Count
		older(p.Oldest)
	}
	for _, m := range unsent {
		older(m.CreatedAt)
	}
	return nil
}
