package doctor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"longhaul/internal/commondb"
	"longhaul/internal/daemon"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/resultdir"
	"longhaul/internal/worker"
)

// A job-tracker that was restored has forgotten submits. Left alone, it would
// submit their jobs again under new names, by which nobody could tell that the
// results are there already. What is known of a forgotten submit is found in
// three places: the queue manager remembers name, inputs and output directory;
// the common database the name, the job's name and the stage of an upload, and
// in its headers the name of a raw data file; the disk the raw data itself.
// From these the submit is entered under its old name, with its job and its
// files if these were forgotten as well. Then the daemons go on with it, or
// have nothing more to do.

// lost is a submit that the job-tracker does not know.
type lost struct {
	name      string
	jobName   string // "" if only its inputs tell
	stage     string
	manager   string
	queueID   string
	outputDir string
	submitted time.Time
	inputs    []string           // paths
	upload    *commondb.Uploaded // nil if it is not uploaded
}

// unknownUploads judges the uploads of submits that the job-tracker does not know.
func (d *Doctor) unknownUploads(ctx context.Context, uploads []commondb.Uploaded) ([]Finding, error) {
	var found []Finding
	var old []commondb.Uploaded
	remembered, err := d.byName(ctx)
	if err != nil {
		return nil, err
	}
	for _, u := range uploads {
		if d.forgotten(u.At) {
			l, err := d.lostUpload(ctx, u, remembered)
			if err != nil {
				return found, err
			}
			f, err := d.lostFinding(ctx, l)
			if err != nil {
				return found, err
			}
			f.Where = "upload " + u.Submit
			f.What = fmt.Sprintf("results of %s, stage %s, are in the common database since %s, and no submit here has made them",
				u.Job, u.Stage, u.At.Format(time.DateTime))
			found = append(found, f)
			continue
		}
		jobs, err := d.waiting(ctx, u)
		if err != nil {
			return found, err
		}
		if len(jobs) == 0 {
			old = append(old, u)
			continue
		}
		found = append(found, Finding{Severity: Warning, Where: row(pipeline.EntityJob, jobs[0].ID),
			What: fmt.Sprintf("is %s, but results of %s, stage %s, are in the common database since %s, by a submit that is not known here (%s)",
				jobs[0].Status, u.Job, u.Stage, u.At.Format(time.DateTime), u.Submit),
			Remedy: fmt.Sprintf("if it is not to be processed again: longhaul kill-jobs %d", jobs[0].ID)})
	}
	if len(old) > 0 {
		found = append(found, Finding{Severity: Note, Where: "uploads",
			What: fmt.Sprintf("%d uploads under our names are of submits that are not known here, from %s (%s) to %s (%s)", len(old),
				old[0].Submit, old[0].At.Format(time.DateTime), old[len(old)-1].Submit, old[len(old)-1].At.Format(time.DateTime)),
			Remedy: "another site, or an earlier job-tracker, has the same institution, pipeline and survey; nothing is to be done"})
	}
	return found, nil
}

// forgotten reports whether something of that time can have been known, and
// was forgotten by a restore.
func (d *Doctor) forgotten(at time.Time) bool {
	return d.held && at.After(d.hold.LastKnown.Add(-time.Minute))
}

// byName are the forgotten submissions that the queue manager remembers.
func (d *Doctor) byName(ctx context.Context) (map[string]queue.Listed, error) {
	if !d.held {
		return nil, nil
	}
	all, err := d.remembered(ctx)
	if errors.Is(err, errCannotList) {
		return nil, nil
	}
	names := make(map[string]queue.Listed, len(all))
	for _, l := range all {
		names[l.Name] = l
	}
	return names, err
}

// lostUpload collects what is known about an upload's submit.
func (d *Doctor) lostUpload(ctx context.Context, u commondb.Uploaded, remembered map[string]queue.Listed) (lost, error) {
	l := lost{name: u.Submit, jobName: u.Job, stage: u.Stage, manager: "not known", queueID: u.Submit,
		outputDir: filepath.Join(d.Config.JobPooler.BaseResultsDirectory, "not-known", u.Submit), submitted: u.At, upload: &u}
	if r, ok := remembered[u.Submit]; ok {
		l.manager, l.queueID, l.submitted = d.manager.Kind(), r.ID, r.Submitted
		if inputs, outDir, ok := worker.Inputs(r.Env); ok {
			l.inputs, l.outputDir = inputs, outDir
			return l, nil
		}
	}
	names, err := d.db.OriginalFiles(ctx, u.ID)
	for _, name := range names {
		if filepath.Base(name) == name { // it comes from results
			l.inputs = append(l.inputs, filepath.Join(d.Config.Download.Temp, name))
		}
	}
	return l, err
}

// waiting are the jobs that could be of an upload, and are not uploaded.
func (d *Doctor) waiting(ctx context.Context, u commondb.Uploaded) ([]pipeline.Job, error) {
	jobs, err := d.Store.JobsNamed(ctx, u.Job, u.Stage)
	if err != nil || len(jobs) == 0 {
		return nil, err
	}
	l, err := d.lostUpload(ctx, u, nil)
	return slices.DeleteFunc(d.ofProduct(jobs, l), func(j pipeline.Job) bool { return j.Status == pipeline.Uploaded }), err
}

// ofProduct leaves the jobs that can have had the inputs of a forgotten submit:
// two products may name their observations alike. Where nothing tells the
// inputs, only a stage that takes one product leaves no doubt.
func (d *Doctor) ofProduct(jobs []pipeline.Job, l lost) []pipeline.Job {
	var product string
	if len(l.inputs) > 0 {
		m, _ := d.products.Recognise(filepath.Base(l.inputs[0]))
		product = m.Product
	}
	if stage, _ := d.Config.Stage(l.stage); product == "" && len(stage.Inputs) == 1 {
		product = stage.Inputs[0]
	}
	return slices.DeleteFunc(jobs, func(j pipeline.Job) bool { return j.Product != product })
}

// lostFinding says what can be done about a forgotten submit.
func (d *Doctor) lostFinding(ctx context.Context, l lost) (f Finding, err error) {
	job, known, err := d.knownJob(ctx, l)
	if err != nil {
		return f, err
	}
	f = Finding{Severity: Error, Holds: true, stops: daemon.Kinds()}
	f.fix = func(ctx context.Context) error { return d.adopt(ctx, l) }
	why := d.unrecognised(l)
	switch {
	case known && job.Status == pipeline.Uploaded:
		f = Finding{Severity: Note, Remedy: fmt.Sprintf("nothing: job %d is uploaded, and this was done once more, for files that were added again", job.ID)}
	case known:
		f.Remedy = fmt.Sprintf("--repair enters the submit under job %d, which is %s", job.ID, job.Status)
	case why == "":
		f.Remedy = "--repair enters the submit, its job, and its files: " + strings.Join(baseNames(l.inputs), ", ")
	default:
		f.fix = nil
		f.Remedy = why + ": see that this observation does not come again, then: longhaul doctor --repair --release"
	}
	d.claimed[l.name], d.claimed[l.outputDir] = true, true
	if known {
		d.claimed[row(pipeline.EntityJob, job.ID)] = true
	}
	for _, name := range baseNames(l.inputs) {
		d.claimed[name] = true
	}
	return f, nil
}

// knownJob finds the job of a forgotten submit: the newest that is not
// uploaded, or else the newest.
func (d *Doctor) knownJob(ctx context.Context, l lost) (job pipeline.Job, known bool, err error) {
	if l.jobName == "" {
		return d.jobOfInputs(ctx, l)
	}
	jobs, err := d.Store.JobsNamed(ctx, l.jobName, l.stage)
	jobs = d.ofProduct(jobs, l)
	if err != nil || len(jobs) == 0 {
		return job, false, err
	}
	i := slices.IndexFunc(jobs, func(j pipeline.Job) bool { return j.Status != pipeline.Uploaded })
	return jobs[max(i, 0)], true, nil
}

// unrecognised says why the files of a forgotten submit cannot be entered.
func (d *Doctor) unrecognised(l lost) string {
	if len(l.inputs) == 0 {
		return "nothing tells which files it was made of"
	}
	for _, path := range l.inputs {
		m, ok := d.products.Recognise(filepath.Base(path))
		switch {
		case !ok:
			return "no product recognises " + filepath.Base(path)
		case l.jobName != "" && strings.ReplaceAll(m.GroupKey, "/", ".") != l.jobName:
			return filepath.Base(path) + " does not belong to " + l.jobName
		case l.stage == "":
			return "its command is not that of one stage of the configuration"
		case !slices.Contains(d.Config.StagesOf(m.Product), l.stage):
			return fmt.Sprintf("the configuration has no stage %q for %s", l.stage, filepath.Base(path))
		}
	}
	return ""
}

func baseNames(paths []string) []string {
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = filepath.Base(p)
	}
	return names
}

// unknownSubmissions judges what the queue manager has of ours and the
// job-tracker does not know: what lives there, and what has left results that
// nobody uploaded. Of several submissions of the same work, the last counts.
func (d *Doctor) unknownSubmissions(ctx context.Context, all []queue.Listed) ([]Finding, error) {
	slices.SortFunc(all, func(a, b queue.Listed) int { return b.Submitted.Compare(a.Submitted) })
	seen := make(map[string]bool)
	var found []Finding
	for _, r := range all {
		inputs, outDir, ours := worker.Inputs(r.Env)
		work := strings.Join(append(slices.Clone(inputs), r.Command...), "\x00")
		if !ours || seen[work] || d.claimed[r.Name] {
			continue
		}
		f := Finding{Severity: Warning, Remedy: "nobody uploads what it leaves: let it end, or end it"}
		f.Where = "queue ID " + r.ID
		f.What = fmt.Sprintf("is %s in the queue, and no submit here knows it; it works on %s", r.State.Phase, strings.Join(baseNames(inputs), ", "))
		if r.State.Phase == queue.Finished {
			results, err := resultdir.Exists(outDir)
			if err != nil {
				return found, err
			}
			if !results || !d.forgotten(r.Submitted) {
				continue // its job runs again; or see results
			}
			f.What = "has ended, and no submit here knows it; its results are in " + outDir
		}
		seen[work] = true
		if d.forgotten(r.Submitted) {
			what, err := d.lostFinding(ctx, lost{name: r.Name, stage: d.stageOf(r.Command, inputs), manager: d.manager.Kind(),
				queueID: r.ID, outputDir: outDir, submitted: r.Submitted, inputs: inputs})
			if err != nil {
				return found, err
			}
			what.Where, what.What = f.Where, f.What
			f = what
		}
		found = append(found, f)
	}
	return found, nil
}

// stageOf finds the stage by the command that a submission runs; "" if several
// could be meant.
func (d *Doctor) stageOf(command, inputs []string) string {
	m, ok := d.products.Recognise(filepath.Base(inputs[0]))
	if !ok {
		return ""
	}
	var fits []string
	for _, name := range d.Config.StagesOf(m.Product) {
		stage, _ := d.Config.Stage(name)
		i := slices.Index(command, "--") + 1
		if i > 0 && i < len(command) && slices.Equal(command[i+1:], stage.Command[1:]) &&
			(command[i] == stage.Command[0] || stage.Command[0] == "longhaul") {
			fits = append(fits, name)
		}
	}
	if len(fits) != 1 {
		return ""
	}
	return fits[0]
}
