package operator

import (
	"context"
	"fmt"
	"strings"

	"longhaul/internal/pipeline"
)

func (o *Operator) explainRequest(ctx context.Context, e *Explanation) error {
	r, err := o.Store.Request(ctx, pipeline.RequestID(e.ID))
	if err != nil {
		return err
	}
	e.Name, e.Status, e.Since = r.GUID, r.Status, r.UpdatedAt
	switch r.Status {
	case pipeline.Waiting:
		return o.explainWaiting(ctx, e, r)
	case pipeline.Failed:
		e.because("it was given up at %s: %s", Stamp(r.UpdatedAt), r.Details)
		e.next("a new request is made as soon as there is room for its data; nothing needs to be done about this one")
	default:
		return o.explainFinished(ctx, e, r)
	}
	return nil
}

func (o *Operator) explainWaiting(ctx context.Context, e *Explanation, r pipeline.Request) error {
	o.daemonRuns(e, downloader)
	if err := o.answers(ctx, e, downloader, pipeline.RestoreService, pipeline.FileServer); err != nil {
		return err
	}
	if r.GUID == "" {
		e.because("the archive was asked at %s (%s ago) and its answer is not here", Stamp(r.CreatedAt), o.ago(r.CreatedAt))
		e.next("the downloader asks again at its next pass")
		return nil
	}
	e.because("%s were asked for at %s (%s ago)", Count(r.Number, "observation"), Stamp(r.CreatedAt), o.ago(r.CreatedAt))
	done, word, err := o.Outside.Location(ctx, r.GUID)
	switch {
	case err != nil:
		e.because("what the archive says about it is not known: %v", err)
	case done:
		e.because("the archive says %q: its files are ready", word)
		o.nextPass(e, downloader, "lists them")
	default:
		e.because("the archive says %q: its files are not on the file server yet", word)
	}
	timeout := o.Config.Download.RequestTimeout.Std()
	if left := r.CreatedAt.Add(timeout).Sub(o.Now()); left > 0 {
		e.next(fmt.Sprintf("the archive is asked every %s; the request is given up in %s (request_timeout %s)",
			o.Config.Background.Sleep, Span(left), o.Config.Download.RequestTimeout))
	} else {
		e.because("request_timeout, %s, is over", o.Config.Download.RequestTimeout)
		e.next("the downloader gives it up at its next pass if the archive is still not ready")
	}
	return nil
}

func (o *Operator) explainFinished(ctx context.Context, e *Explanation, r pipeline.Request) error {
	files, err := o.Store.FilesOfRequest(ctx, r.ID)
	if err != nil {
		return err
	}
	e.because("its files were listed at %s: %s", Stamp(r.UpdatedAt), r.Details)
	counts := make(map[pipeline.Status]int)
	var open pipeline.File
	for _, f := range files {
		counts[f.Status]++
		if f.Status != pipeline.Deleted && open.ID == 0 {
			open = f
		}
	}
	var parts []string
	for _, s := range pipeline.MachineOf(pipeline.EntityFile).Statuses() {
		if n := counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if len(parts) > 0 {
		e.because("its files: %s", strings.Join(parts, ", "))
	}
	if open.ID == 0 {
		e.next("nothing: the request is done")
		return nil
	}
	e.next("the request is done, but not all of its files are", see(pipeline.EntityFile, int64(open.ID)))
	return nil
}
