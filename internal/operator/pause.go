package operator

import (
	"context"
	"fmt"
	"time"

	"longhaul/internal/pipeline"
)

// PauseView is a part of the work that stands still.
type PauseView struct {
	Kind    pipeline.PauseKind `json:"kind"`
	Since   time.Time          `json:"since"`
	Actor   string             `json:"actor"`   // a person, or the daemon
	Breaker bool               `json:"breaker"` // by the breaker
	Reason  string             `json:"reason"`
	ProbeAt time.Time          `json:"probe_at,omitzero"` // of the breaker: the next probe, not before
	Probes  int                `json:"probes"`            // that were made
	Probe   pipeline.SubmitID  `json:"probe,omitempty"`   // the last one
}

// ViewPause is the view of a pause.
func ViewPause(p pipeline.Pause) PauseView { return PauseView(p) }

// By names who paused.
func (p PauseView) By() string {
	if p.Breaker {
		return "the breaker"
	}
	return p.Actor
}

// stands says what a pause holds up.
func stands(kind pipeline.PauseKind) string {
	switch kind {
	case pipeline.PauseDownloads:
		return "nothing is requested and no transfer begins; those that run go on"
	case pipeline.PauseSubmissions:
		return "no job is submitted; those in the queue go on, and their results are uploaded"
	}
	return "no results are uploaded; they wait, and their raw data with them"
}

// Pause stops a part of the work and says what that means.
func (o *Operator) Pause(ctx context.Context, kind pipeline.PauseKind, reason string) (done string, err error) {
	if err := o.Store.Pause(ctx, kind, reason); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s are paused: %s. They go on with: longhaul resume %[1]s", kind, stands(kind)), nil
}

// Resume ends a pause and says what it was.
func (o *Operator) Resume(ctx context.Context, kind pipeline.PauseKind, reason string) (done string, err error) {
	p, err := o.Store.Resume(ctx, kind, reason)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s go on; they were paused for %s by %s: %s", kind, o.ago(p.Since), PauseView(p).By(), oneLine(p.Reason)), nil
}

// recentLines and recentTime bound what the status shows of what happened.
const (
	recentLines = 3
	recentTime  = time.Hour
)

// statusPauses adds what is paused, and what happened of late to the system as a
// whole: outages that began or are over, pauses.
func (o *Operator) statusPauses(ctx context.Context, s *Status) error {
	pauses, err := o.Store.Pauses(ctx)
	if err != nil {
		return err
	}
	s.Pauses = Views(pauses, ViewPause)
	recent, err := o.Store.RecentSystemEvents(ctx, o.Now().Add(-recentTime), recentLines)
	s.Recent = Views(recent, ViewEvent)
	return err
}

// attendPauses reminds a person of what stands still, and of jobs that the site
// fails again and again.
func (o *Operator) attendPauses(ctx context.Context, s *Status) error {
	for _, p := range s.Pauses {
		s.Attention = append(s.Attention, Attention{What: string(p.Kind) + " are paused", Since: p.Since,
			Command: "longhaul resume " + string(p.Kind)})
	}
	jobs, err := o.Store.SiteFaultedJobs(ctx)
	if err != nil || len(jobs) == 0 {
		return err
	}
	oldest := jobs[0]
	for _, j := range jobs {
		if j.SiteFaults > oldest.SiteFaults {
			oldest = j
		}
	}
	s.Attention = append(s.Attention, Attention{What: Count(len(jobs), "job") + " met trouble of the site", Since: oldest.UpdatedAt,
		Command: fmt.Sprintf("longhaul explain job %d", oldest.ID)})
	return nil
}

// notPaused adds a reason if a part of the work stands still.
func (o *Operator) notPaused(ctx context.Context, e *Explanation, kind pipeline.PauseKind) error {
	p, held, err := o.Store.Paused(ctx, kind)
	if err != nil || !held {
		return err
	}
	e.because("%s are paused since %s (%s) by %s: %s", kind, Stamp(p.Since), o.ago(p.Since), PauseView(p).By(), p.Reason)
	next := fmt.Sprintf("it waits until somebody resumes %s", kind)
	if p.Breaker {
		next = fmt.Sprintf("single jobs are tried by themselves, the next one at %s; when one goes well, all go on", Stamp(p.ProbeAt))
	}
	e.next(next, try("if the cause is mended", "longhaul resume %s", kind))
	return nil
}

// explainSiteFaults says that it is not the job's fault that it waits.
func (o *Operator) explainSiteFaults(ctx context.Context, e *Explanation, j pipeline.Job) error {
	if j.SiteFaults == 0 {
		return nil
	}
	sub, ok, err := o.lastSubmit(ctx, j.ID)
	if err != nil || !ok {
		return err
	}
	times := "its last submit was"
	if j.SiteFaults > 1 {
		times = fmt.Sprintf("its last %d submits were", j.SiteFaults)
	}
	e.because("%s taken back, the last at %s%s: %s", times, Stamp(sub.EndedAt), onNode(sub.Node), j.Details)
	return nil
}
