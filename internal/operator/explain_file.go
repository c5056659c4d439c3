package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"longhaul/internal/pipeline"
)

func (o *Operator) explainFile(ctx context.Context, e *Explanation) error {
	f, err := o.Store.File(ctx, pipeline.FileID(e.ID))
	if err != nil {
		return err
	}
	e.Name, e.Status, e.Since = f.Filename, f.Status, f.UpdatedAt
	switch f.Status {
	case pipeline.New, pipeline.Retrying:
		return o.explainUnfetched(ctx, e, f)
	case pipeline.Downloading:
		return o.explainDownloading(ctx, e, f)
	case pipeline.Unverified:
		e.because("all its bytes are here, %s, and are being verified", Bytes(f.Bytes))
		o.daemonRuns(e, downloader)
		e.next("the downloader compares size and checksum")
	case pipeline.Failed:
		if _, err := o.errorsOf(ctx, e); err != nil {
			return err
		}
		o.daemonRuns(e, downloader)
		e.next(fmt.Sprintf("the downloader tries it again or gives it up at its next pass (%d of %d attempts are used up)",
			f.Attempts, o.Config.Download.NumRetries))
	case pipeline.TerminalFailure:
		return o.explainFileGivenUp(ctx, e, f)
	case pipeline.Deleted:
		e.because("it was deleted at %s", Stamp(f.UpdatedAt))
		e.next("nothing: the file is done", try("its whole way", "longhaul show file %d", f.ID))
	default:
		return o.explainHere(ctx, e, f)
	}
	return nil
}

// explainUnfetched is about a file that waits for its download.
func (o *Operator) explainUnfetched(ctx context.Context, e *Explanation, f pipeline.File) error {
	o.daemonRuns(e, downloader)
	if err := o.notPaused(ctx, e, pipeline.PauseDownloads); err != nil {
		return err
	}
	if err := o.answers(ctx, e, downloader, pipeline.FileServer, pipeline.LocalDisk); err != nil {
		return err
	}
	if f.Status == pipeline.Retrying {
		if _, err := o.errorsOf(ctx, e); err != nil {
			return err
		}
		e.because("%d of %d attempts are used up", f.Attempts, o.Config.Download.NumRetries)
	}
	o.due(e, f.NextTry)
	o.explainSpace(ctx, e, f)
	active, err := o.Store.AttemptsIn(ctx, pipeline.Downloading)
	if err != nil {
		return err
	}
	if slots := o.Config.Download.NumDownloads; len(active) >= slots {
		e.because("all slots are taken: %d of %d downloads are running", len(active), slots)
	}
	before, err := o.filesBefore(ctx, f)
	if err != nil {
		return err
	}
	if before > 0 {
		e.because("%s due before it", areOrIs(before, "file"))
	}
	if len(active) >= o.Config.Download.NumDownloads || before > 0 {
		e.next("it is fetched by itself when its turn comes", try("how fast the others go", "longhaul status"))
	}
	o.nextPass(e, downloader, "fetches it")
	return nil
}

// mostBefore is how many files or jobs are looked at to find a place in line.
const mostBefore = 10000

// filesBefore counts the files that the downloader takes before this one.
func (o *Operator) filesBefore(ctx context.Context, f pipeline.File) (int, error) {
	due, err := o.Store.DueFiles(ctx, mostBefore)
	if err != nil {
		return 0, err
	}
	return max(slices.IndexFunc(due, func(d pipeline.File) bool { return d.ID == f.ID }), 0), nil
}

func areOrIs(n int, noun string) string {
	if n == 1 {
		return Count(n, noun) + " is"
	}
	return Count(n, noun) + " are"
}

// explainSpace adds a reason if there is no space for the rest of a file.
func (o *Operator) explainSpace(ctx context.Context, e *Explanation, f pipeline.File) {
	r, err := o.room(ctx)
	if err != nil {
		e.because("whether there is space for it cannot be found out: %v", err)
		e.next("mend the directory download.temp", try("what is wrong with it", "longhaul check-config"))
		return
	}
	if f.Size-f.Bytes <= r.Left() {
		return
	}
	e.because("there is no space: it needs %s, and %s may come (space_to_use %s, used %s, promised %s; free on the disk %s, min_free_space %s)",
		Bytes(f.Size-f.Bytes), Bytes(r.Left()), o.Config.Download.SpaceToUse, Bytes(r.Used), Bytes(r.Promised),
		Bytes(r.Free), o.Config.Download.MinFreeSpace)
	e.next("space comes back by itself when raw data is deleted after its upload",
		try("what takes the space", "longhaul list files --status downloaded"))
}

func (o *Operator) explainDownloading(ctx context.Context, e *Explanation, f pipeline.File) error {
	o.daemonRuns(e, downloader)
	if err := o.answers(ctx, e, downloader, pipeline.FileServer, pipeline.LocalDisk); err != nil {
		return err
	}
	attempts, err := o.Store.AttemptsOf(ctx, f.ID)
	if err != nil || len(attempts) == 0 {
		return err
	}
	d := download(f, attempts[len(attempts)-1])
	e.because("%s of %s are here; the last of them at %s (%s ago)", Bytes(d.Bytes), Bytes(d.Size), Stamp(d.LastWord), o.ago(d.LastWord))
	if d.Rate > 0 {
		e.next(fmt.Sprintf("it is done in about %s, at %s/s", Span(seconds(d.Left)), Bytes(int64(d.Rate))))
	}
	e.next(fmt.Sprintf("the downloader breaks it off after %s of silence, and goes on from there later", o.Config.Download.IdleTimeout))
	return nil
}

func (o *Operator) explainFileGivenUp(ctx context.Context, e *Explanation, f pipeline.File) error {
	if f.DeleteWanted {
		o.explainDoomed(e)
		return nil
	}
	if _, err := o.errorsOf(ctx, e); err != nil {
		return err
	}
	e.because("it was given up at %s", Stamp(f.UpdatedAt))
	others, err := o.Store.FilesOfGroup(ctx, f.Product, f.GroupKey)
	if err != nil {
		return err
	}
	for _, other := range others {
		if other.ID != f.ID && (other.Status == pipeline.Downloaded || other.Status == pipeline.Added) {
			e.because("file %d, %s, of the same group waits for it", other.ID, other.Filename)
		}
	}
	e.next("it is for you to decide",
		try("fetch it again", "longhaul retry-files %d", f.ID), try("let it go", "longhaul remove-files %d", f.ID))
	return nil
}

func (o *Operator) explainDoomed(e *Explanation) {
	e.because("it is to be deleted")
	o.daemonRuns(e, uploader)
	e.next(fmt.Sprintf("the uploader deletes it at its next pass, within %s", o.Config.Background.Sleep))
}

// explainHere is about a file that is whole and on this disk.
func (o *Operator) explainHere(ctx context.Context, e *Explanation, f pipeline.File) error {
	if f.DeleteWanted {
		o.explainDoomed(e)
		return nil
	}
	jobs, err := o.Store.JobsOfFile(ctx, f.ID)
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		return o.explainGroup(ctx, e, f)
	}
	for _, j := range jobs {
		e.because("it is input of job %d, %s, stage %s, which is %s", j.ID, j.Name, j.Stage, j.Status)
	}
	done := func(j pipeline.Job) bool { return j.Status == pipeline.Uploaded }
	if i := slices.IndexFunc(jobs, func(j pipeline.Job) bool { return !done(j) }); i >= 0 {
		if jobs[i].Status == pipeline.TerminalFailure {
			e.because("raw data of a job that was given up is kept (delete_rawdata_on_terminal_failure)")
		}
		e.next("it stays as long as its job may need it", see(pipeline.EntityJob, int64(jobs[i].ID)))
		return nil
	}
	e.because("its jobs are done, and raw data was kept when they were (delete_rawdata)")
	e.next("it stays here", try("delete it", "longhaul remove-files %d", f.ID))
	return nil
}

// explainGroup is about a file that belongs to no job yet.
func (o *Operator) explainGroup(ctx context.Context, e *Explanation, f pipeline.File) error {
	files, err := o.Store.UngroupedFiles(ctx)
	if err != nil {
		return err
	}
	for _, g := range o.products.Group(files) {
		if g.Product != f.Product || g.Key != f.GroupKey {
			continue
		}
		switch {
		case g.Wrong != "":
			e.because("its group, %s, can make no job: %s", g.Name, g.Wrong)
			e.next("take the wrong file out of the group: "+names(g.Files), try("remove it", "longhaul remove-files ID"))
		case len(g.Missing) > 0:
			e.because("its group, %s, is not complete: it waits for %s", g.Name, strings.Join(g.Missing, ", "))
			return o.explainMissing(ctx, e, f)
		default:
			e.because("its group, %s, is complete", g.Name)
			o.daemonRuns(e, jobpooler)
			o.nextPass(e, jobpooler, "makes its job")
		}
		return nil
	}
	e.because("it is in no group now; the jobpooler has just taken it, or it was changed meanwhile")
	e.next("look again", see(pipeline.EntityFile, int64(f.ID)))
	return nil
}

// explainMissing tells what is known of the rest of a group.
func (o *Operator) explainMissing(ctx context.Context, e *Explanation, f pipeline.File) error {
	group, err := o.Store.FilesOfGroup(ctx, f.Product, f.GroupKey)
	if err != nil {
		return err
	}
	for _, other := range group {
		if other.Status == pipeline.Downloaded || other.Status == pipeline.Added {
			continue
		}
		e.because("file %d, %s, of the same group is %s", other.ID, other.Filename, other.Status)
		if other.Status != pipeline.Deleted {
			e.next("its job is made when the rest of the group is here", see(pipeline.EntityFile, int64(other.ID)))
		}
	}
	if e.Next == "" {
		e.because("no other file of the group is on its way")
	}
	e.next("it waits until the archive sends the rest of the group, or somebody adds it",
		try("add the rest", "longhaul add-files PATH"), try("let this one go", "longhaul remove-files %d", f.ID))
	return nil
}

func names(files []pipeline.File) string {
	var all []string
	for _, f := range files {
		all = append(all, fileName(f))
	}
	return strings.Join(all, ", ")
}

// explainAttempt says how an attempt went; what moves or not is its file.
func (o *Operator) explainAttempt(ctx context.Context, e *Explanation) error {
	a, err := o.Store.Attempt(ctx, pipeline.AttemptID(e.ID))
	if err != nil {
		return err
	}
	f, err := o.Store.File(ctx, a.FileID)
	if err != nil {
		return err
	}
	e.Name, e.Status, e.Since = f.Filename, a.Status, a.UpdatedAt
	e.because("it fetched %s, from byte %d on: %s", Bytes(a.Bytes), a.Offset, a.Details)
	e.because("its file, %d, is %s", f.ID, f.Status)
	e.next("it is the file that moves on", see(pipeline.EntityFile, int64(f.ID)))
	return nil
}
