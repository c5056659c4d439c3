package preflight

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"longhaul/internal/archive"
	"longhaul/internal/disk"
	"longhaul/internal/jobtracker"
	"longhaul/internal/notice"
	"longhaul/internal/pool"
	"longhaul/internal/queue"
	"longhaul/internal/site"
)

// checkConfig has nothing left to do: a configuration with a mistake gets no
// further than its loading.
func checkConfig(_ context.Context, r *runner) (string, error) {
	return fmt.Sprintf("%d products, %d stages", len(r.cfg.Products), len(r.cfg.Stages)), nil
}

// checkDirs writes to each directory, and opens the job-tracker.
func checkDirs(ctx context.Context, r *runner) (string, error) {
	var errs []error
	for _, dir := range []string{r.cfg.Download.Temp, r.cfg.JobPooler.BaseResultsDirectory, r.cfg.Basic.LogDir, r.cfg.Basic.QsublogDir} {
		errs = append(errs, tryDir(dir))
	}
	s, err := jobtracker.Open(ctx, site.JobTracker(r.cfg), jobtracker.Options{Actor: "preflight"})
	if err == nil {
		err = s.Close()
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		return "", err
	}
	free, err := disk.Free(r.cfg.Download.Temp)
	if err == nil && free < int64(r.cfg.Download.MinFreeSpace) {
		err = fmt.Errorf("%s has %s free, less than download.min_free_space (%s)", r.cfg.Download.Temp, bytes(free), r.cfg.Download.MinFreeSpace)
	}
	return fmt.Sprintf("all can be written; %s has %s free", r.cfg.Download.Temp, bytes(free)), err
}

// tryDir makes a file in a directory and removes it.
func tryDir(dir string) error {
	f, err := os.CreateTemp(dir, ".preflight-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString("x")
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

func bytes(n int64) string {
	const gib = 1 << 30
	if n >= gib {
		return fmt.Sprintf("%.1f GiB", float64(n)/gib)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

func checkRestore(ctx context.Context, r *runner) (string, error) {
	restorer, err := site.Restorer(r.cfg)
	if err != nil {
		return "", err
	}
	if restorer == nil {
		return `not used: download.source is "poll"`, nil
	}
	return "RestoreTest and LocationTest answer", restorer.Test(ctx)
}

// checkFTP logs in, lists, and retrieves one file.
func checkFTP(ctx context.Context, r *runner) (string, error) {
	server, err := site.FileServer(r.cfg, r.opt.Log)
	if err != nil {
		return "", err
	}
	defer server.Close()
	dir := r.cfg.Download.FTPDirectory
	if r.cfg.Download.Source == "poll" {
		dir = r.cfg.Download.PollDirectory
	}
	name, size := r.opt.File, int64(-1)
	if name == "" {
		listing, err := server.List(ctx, dir)
		if err != nil {
			return "", fmt.Errorf("list %s: %w", dir, err)
		}
		smallest, ok := smallest(listing.Entries)
		if !ok {
			return fmt.Sprintf("logged in, listed %s: no file there to retrieve; name one with --file", dir), nil
		}
		name, size = path.Join(dir, smallest.Name), smallest.Size
	} else if e, err := server.Stat(ctx, name); err != nil {
		return "", err
	} else {
		size = e.Size
	}
	start := time.Now()
	n, err := server.Fetch(ctx, name, 0, io.Discard)
	if err != nil {
		return "", fmt.Errorf("retrieve %s: %w", name, err)
	}
	if n != size {
		return "", fmt.Errorf("retrieve %s: %d bytes came, %d are listed", name, n, size)
	}
	return fmt.Sprintf("logged in, listed %s, retrieved %s: %s at %s/s", dir, path.Base(name), bytes(n),
		bytes(int64(float64(n)/time.Since(start).Seconds()))), nil
}

func smallest(entries []archive.Entry) (best archive.Entry, ok bool) {
	for _, e := range entries {
		if !ok || e.Size < best.Size {
			best, ok = e, true
		}
	}
	return best, ok
}

func checkSMTP(ctx context.Context, r *runner) (string, error) {
	if !r.cfg.Email.Enabled {
		return "not used: email.enabled is false", nil
	}
	smtp, err := site.SMTP(r.cfg)
	if err != nil {
		return "", err
	}
	host, err := os.Hostname()
	if err != nil {
		return "", err
	}
	return "the server took a test mail to " + strings.Join(r.cfg.Email.Recipient, ", ") + "; look whether it arrives",
		smtp.Send(ctx, notice.Test(site.MailPrefix(r.cfg), host, time.Now()))
}

func checkCommonDB(ctx context.Context, r *runner) (string, error) {
	db, err := site.CommonDB(ctx, r.cfg)
	if err != nil {
		return "", err
	}
	defer db.Close()
	return "inserted, read back, rolled back", db.Check(ctx)
}

// checkQueue runs a test job that looks at its node.
func checkQueue(ctx context.Context, r *runner) (_ string, err error) {
	m, err := site.QueueGuest(r.cfg, r.opt.Log)
	if err != nil {
		return "", err
	}
	// The prefix says that it is ours; without it some managers do not see it.
	name := r.cfg.JobPooler.JobBasename + "-preflight-" + strings.ToLower(rand.Text()[:10])
	spec := queue.Spec{
		Name: name, Command: r.nodeCommand(),
		Stdout: pool.StdoutPath(r.cfg, name), Stderr: pool.StderrPath(r.cfg, name),
	}
	start := time.Now()
	id, err := m.Submit(ctx, spec)
	if err != nil {
		return "", fmt.Errorf("submit a test job: %w", err)
	}
	st, err := waitFor(ctx, m, queue.Ref{ID: id, Name: name, Submitted: start.Unix()})
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		return "", errors.Join(fmt.Errorf("test job %s: %w", id, err), m.Delete(ctx, id))
	}
	if !st.Succeeded() {
		out, _ := os.ReadFile(spec.Stdout) // one that never started has none
		log, _ := m.Errors(ctx, id)
		return "", fmt.Errorf("the test job ended on %q with %s %d: %s", st.Node, st.Reason, st.ExitCode,
			strings.TrimSpace(string(out)+log+st.Detail))
	}
	return fmt.Sprintf("a test job ran on %s; nothing is missing there", st.Node), errors.Join(os.Remove(spec.Stdout), os.Remove(spec.Stderr))
}

// nodeCommand is what the test job runs: see CheckNode.
func (r *runner) nodeCommand() []string {
	cmd := []string{r.cfg.Processing.Longhaul, "check-node",
		"--dir", r.cfg.Processing.BaseWorkingDirectory, "--dir", r.cfg.JobPooler.BaseResultsDirectory, "--dir", r.cfg.Download.Temp}
	for _, s := range r.cfg.Stages {
		if s.Command[0] != "longhaul" {
			cmd = append(cmd, "--program", s.Command[0])
		}
	}
	return cmd
}

// waitFor polls until a job has ended.
func waitFor(ctx context.Context, m queue.Manager, ref queue.Ref) (queue.State, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var last queue.State
	for {
		states, err := m.Poll(ctx, []queue.Ref{ref})
		if err != nil {
			return last, err
		}
		if last = states[ref]; last.Phase == queue.Finished {
			return last, nil
		}
		select {
		case <-ctx.Done():
			return last, fmt.Errorf("still %s: %w", last.Phase, ctx.Err())
		case <-tick.C:
		}
	}
}
