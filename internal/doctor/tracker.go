package doctor

import (
	"context"
	"fmt"
	"time"

	"longhaul/internal/backup"
	"longhaul/internal/daemon"
	"longhaul/internal/jobtracker"
	"longhaul/internal/pipeline"
)

// row names a row for people, as the commands take it.
func row[ID ~int64](e pipeline.Entity, id ID) string { return fmt.Sprintf("%s %d", e, id) }

// Damaged makes findings of what is damaged in the job-tracker at path.
func Damaged(path string, problems []string) []Finding {
	var found []Finding
	for _, p := range problems {
		found = append(found, Finding{Check: "job-tracker", Severity: Error, Where: path, What: p,
			Remedy: "systemctl stop longhaul.target; longhaul restore-backup latest"})
	}
	return found
}

// damage reads all pages and references.
func (d *Doctor) damage(ctx context.Context) ([]Finding, error) {
	problems, err := d.Store.Problems(ctx)
	return Damaged(d.Store.Path(), problems), err
}

// history finds rows that the daemons cannot have left so.
func (d *Doctor) history(ctx context.Context) ([]Finding, error) {
	breaches, err := d.Store.Breaches(ctx)
	var found []Finding
	for _, b := range breaches {
		where := row(b.Entity, b.ID)
		found = append(found, Finding{Severity: Error, Where: where, What: b.What,
			Remedy: "somebody changed the job-tracker by hand, or this is a mistake in Longhaul: longhaul show " + where})
	}
	return found, err
}

// configuration finds what is in hand and has no place in the configuration
// any more, one finding for each stage and product.
func (d *Doctor) configuration(ctx context.Context) ([]Finding, error) {
	var found []Finding
	index := make(map[string]int)
	add := func(key, where, what, remedy string) {
		i, ok := index[key]
		if !ok {
			i = len(found)
			index[key] = i
			found = append(found, Finding{Severity: Warning, Where: where, What: what, Remedy: remedy})
			return
		}
		found[i].Where += ", " + where
	}
	for _, status := range []pipeline.Status{pipeline.New, pipeline.Retrying, pipeline.Submitted, pipeline.Processed, pipeline.Failed} {
		jobs, err := d.Store.JobsIn(ctx, status)
		if err != nil {
			return found, err
		}
		for _, j := range jobs {
			if _, ok := d.Config.Stage(j.Stage); !ok {
				add("stage "+j.Stage, row(pipeline.EntityJob, j.ID), fmt.Sprintf("the configuration has no stage %q; such jobs fail", j.Stage),
					fmt.Sprintf("put the stage back, or: longhaul kill-jobs %d", j.ID))
			}
		}
	}
	for _, status := range []pipeline.Status{pipeline.New, pipeline.Retrying, pipeline.Downloaded, pipeline.Added} {
		files, err := d.Store.FilesIn(ctx, status)
		if err != nil {
			return found, err
		}
		for _, f := range files {
			if len(d.Config.StagesOf(f.Product)) > 0 || f.DeleteWanted || !d.waits(ctx, f) {
				continue
			}
			add("product "+f.Product, row(pipeline.EntityFile, f.ID), fmt.Sprintf("no stage takes product %q; such files make no job", f.Product),
				fmt.Sprintf("put the product back, or: longhaul remove-files %d", f.ID))
		}
	}
	return found, nil
}

// waits reports whether a file is still to become a job's input.
func (d *Doctor) waits(ctx context.Context, f pipeline.File) bool {
	jobs, err := d.Store.JobsOfFile(ctx, f.ID)
	return err != nil || len(jobs) == 0
}

// inBetween counts, for each daemon that does not run, what it will settle.
func (d *Doctor) inBetween(ctx context.Context) ([]Finding, error) {
	var found []Finding
	for _, of := range []struct {
		kind     string
		entity   pipeline.Entity
		statuses []pipeline.Status
	}{
		{daemon.Downloader, pipeline.EntityRequest, []pipeline.Status{pipeline.Waiting}},
		{daemon.Downloader, pipeline.EntityFile, []pipeline.Status{pipeline.Downloading, pipeline.Unverified, pipeline.Failed}},
		{daemon.JobPooler, pipeline.EntitySubmit, []pipeline.Status{pipeline.Submitting, pipeline.Running}},
		{daemon.JobPooler, pipeline.EntityJob, []pipeline.Status{pipeline.Failed}},
		{daemon.Uploader, pipeline.EntitySubmit, []pipeline.Status{pipeline.Processed}},
	} {
		if d.runs(of.kind) {
			continue
		}
		for _, status := range of.statuses {
			n, err := d.Store.CountIn(ctx, of.entity, status)
			if err != nil {
				return found, err
			}
			if n > 0 {
				found = append(found, Finding{Severity: Note, Where: of.kind, What: fmt.Sprintf("%ss that are %s: %d", of.entity, status, n),
					Remedy: fmt.Sprintf("the %s goes on with them when it runs: systemctl start longhaul-%[1]s", of.kind)})
			}
		}
	}
	return found, nil
}

// mailPatience is how long a mail may wait.
const mailPatience = time.Hour

// mail finds notices that nobody was told of.
func (d *Doctor) mail(ctx context.Context) ([]Finding, error) {
	var found []Finding
	old := d.Now().Add(-mailPatience)
	remedy := "longhaul preflight smtp"
	if !d.Config.Email.Enabled {
		remedy = "email.enabled is false: nobody will be told until it is true"
	}
	unsent, err := d.Store.UnsentMails(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range unsent {
		if m.CreatedAt.Before(old) {
			found = append(found, Finding{Severity: Warning, Where: fmt.Sprintf("mail %d", m.ID),
				What: fmt.Sprintf("written at %s and not known to be sent: %s", m.CreatedAt.Format(time.DateTime), m.Subject), Remedy: remedy})
		}
	}
	pending, err := d.Store.PendingNotices(ctx)
	for _, p := range pending {
		if p.Oldest.Before(old) {
			found = append(found, Finding{Severity: Warning, Where: "notices",
				What: fmt.Sprintf("%d notices (%s) wait since %s", p.Count, p.Kind, p.Oldest.Format(time.DateTime)), Remedy: remedy})
		}
	}
	return found, err
}

// backups finds out whether there is something to go back to.
func (d *Doctor) backups(ctx context.Context) ([]Finding, error) {
	every := d.Config.Background.BackupEvery.Std()
	if d.Config.Background.OnServer() {
		return nil, nil // the server's administrator makes them
	}
	dir := backup.Dir(d.Config)
	all, err := backup.List(dir)
	if err != nil {
		return nil, err
	}
	f := Finding{Severity: Warning, Where: dir, Remedy: "longhaul backup"}
	switch {
	case len(all) == 0 && every > 0:
		f.What = "there is no backup of the job-tracker"
	case len(all) > 0 && every > 0 && d.Now().Sub(all[0].At) > 2*every:
		f.What = fmt.Sprintf("the newest backup of the job-tracker is of %s", all[0].At.Format(time.DateTime))
		f.Remedy = "the logs say why no other was made; longhaul backup"
	case len(all) > 0 && d.Deep:
		problems, err := jobtracker.Examine(ctx, all[0].Path)
		if err == nil && len(problems) == 0 {
			return nil, nil
		}
		f.Severity, f.Where, f.What = Error, all[0].Path, fmt.Sprintf("the newest backup cannot be used: %v %v", err, problems)
	default:
		return nil, nil
	}
	return []Finding{f}, nil
}
