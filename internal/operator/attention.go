package operator

import (
	"context"
	"fmt"
	"time"

	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
)

// How long something may last before a person should look at it.
const (
	mailPatience  = time.Hour      // a mail that is not sent
	groupPatience = 24 * time.Hour // a file without the rest of its group
)

// statusAttention lists what needs a person, the most pressing first.
func (o *Operator) statusAttention(ctx context.Context, s *Status) error {
	s.Attention = []Attention{}
	hold, held, err := o.Store.Held(ctx)
	if err != nil {
		return err
	}
	if held {
		s.Attention = append(s.Attention, Attention{What: "the job-tracker was restored", Since: hold.At, Command: "longhaul doctor --repair"})
	}
	if err := o.attendPauses(ctx, s); err != nil {
		return err
	}
	for _, d := range s.Daemons {
		if d.State == DaemonStopped {
			s.Attention = append(s.Attention, Attention{What: "the " + d.Name + " does not run", Command: systemctl(d.Name)})
		}
	}
	if s.RoomError != "" {
		s.Attention = append(s.Attention, Attention{What: "download.temp: " + s.RoomError, Command: "longhaul check-config"})
	}
	if err := o.attendGivenUp(ctx, s); err != nil {
		return err
	}
	if err := o.attendGroups(ctx, s); err != nil {
		return err
	}
	newest, err := o.Store.Requests(ctx, jobtracker.Filter{Limit: 1})
	if err != nil {
		return err
	}
	for _, r := range newest {
		if r.Status == pipeline.Failed {
			s.Attention = append(s.Attention, Attention{What: "the last request to the archive failed", Since: r.UpdatedAt,
				Command: fmt.Sprintf("longhaul show request %d", r.ID)})
		}
	}
	if m := s.Mail; m.Enabled && !m.Oldest.IsZero() && o.Now().Sub(m.Oldest) > mailPatience {
		s.Attention = append(s.Attention, Attention{What: "mail cannot be sent", Since: m.Oldest, Command: "longhaul preflight smtp"})
	}
	return nil
}

func (o *Operator) attendGivenUp(ctx context.Context, s *Status) error {
	jobs, err := o.Store.JobsIn(ctx, pipeline.TerminalFailure)
	if err != nil {
		return err
	}
	files, err := o.Store.FilesIn(ctx, pipeline.TerminalFailure)
	if err != nil {
		return err
	}
	var oldestJob, oldestFile time.Time
	for _, j := range jobs {
		oldestJob = earlier(oldestJob, j.UpdatedAt)
	}
	for _, f := range files {
		oldestFile = earlier(oldestFile, f.UpdatedAt)
	}
	if n := len(jobs); n > 0 {
		s.Attention = append(s.Attention, Attention{Count(n, "job") + " given up", oldestJob, "longhaul failures"})
	}
	if n := len(files); n > 0 {
		s.Attention = append(s.Attention, Attention{Count(n, "file") + " given up", oldestFile, "longhaul failures"})
	}
	return nil
}

// attendGroups finds groups that can make no job, and such as wait long for
// the rest of their files.
func (o *Operator) attendGroups(ctx context.Context, s *Status) error {
	files, err := o.Store.UngroupedFiles(ctx)
	if err != nil {
		return err
	}
	var waiting, wrong Attention
	var nWaiting, nWrong int
	for _, g := range o.products.Group(files) {
		since := g.Files[0].UpdatedAt
		command := fmt.Sprintf("longhaul explain file %d", g.Files[0].ID)
		switch {
		case g.Wrong != "":
			nWrong++
			wrong = firstSeen(wrong, since, command)
		case !g.Complete() && o.Now().Sub(since) > groupPatience:
			nWaiting++
			waiting = firstSeen(waiting, since, command)
		}
	}
	if nWrong > 0 {
		wrong.What = Count(nWrong, "group") + " of files can make no job"
		s.Attention = append(s.Attention, wrong)
	}
	if nWaiting > 0 {
		waiting.What = Count(nWaiting, "group") + " of files not complete for long"
		s.Attention = append(s.Attention, waiting)
	}
	return nil
}

// firstSeen keeps the older of two groups as the example.
func firstSeen(a Attention, since time.Time, command string) Attention {
	if a.Since.IsZero() || since.Before(a.Since) {
		return Attention{Since: since, Command: command}
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
