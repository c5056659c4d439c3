package pool_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"longhaul/internal/config"
	"longhaul/internal/jobtracker"
	"longhaul/internal/jobtracker/jobtrackertest"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue/local"
	"longhaul/internal/queue/queuefake"
)

func (r *rig) diskFull(j queuefake.Job) {
	r.fake.End(j.Spec.Name, 75, "worker on node13: not enough space in /scratch: the input needs 9 bytes, 3 are free\n")
}

// workersOutage returns what the status shows of disks on the nodes.
func (r *rig) workersOutage() (found []jobtracker.Outage) {
	r.Helper()
	all, err := r.store.Outages(r.Context())
	r.must(err)
	for _, o := range all {
		if o.Daemon == jobtracker.Worker {
			found = append(found, o)
		}
	}
	return found
}

func TestADiskThatIsFullOnTheNodesTakesNoAttempts(t *testing.T) {
	t.Parallel()
	r := newRig(t, withoutBreaker, func(c *config.Config) {
		c.JobPooler.MaxAttempts = 1
		c.JobPooler.RetryWait, c.JobPooler.RetryWaitMax = config.Duration(time.Minute), config.Duration(5*time.Minute)
	})
	r.one(1)
	r.one(2)
	r.pass()
	for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
		r.endAll(r.diskFull)
		r.pass()
		r.wantDetails(1, pipeline.Retrying, 0, "the site's fault, does not count: exit status 75: worker on node13: not enough space in /scratch")
		j := r.want(2, pipeline.Retrying, 0)
		if wait := j.NextTry.Sub(r.clock.Now()); wait < want*9/10 || wait > want*11/10 || j.SiteFaults != i+1 {
			t.Errorf("after %d times in a row (%d) it waits %v, want %v give or take a tenth", i+1, j.SiteFaults, wait, want)
		}
		r.restart()
		r.retryTime()
		r.pass()
		r.want(2, pipeline.Submitted, 0)
	}
	if out := r.workersOutage(); len(out) != 1 || !strings.Contains(out[0].Error, "not enough space in /scratch") || r.allNotices() != 1 {
		t.Errorf("outages %+v, %d notices; want one of each", out, r.allNotices())
	}
	live := make(map[string]queuefake.Job)
	for _, j := range r.fake.Jobs() {
		if j.Live() {
			live[filepath.Base(input(j))] = j
		}
	}
	r.succeed(live[merged(1)])
	r.pass()
	if len(r.workersOutage()) != 1 {
		t.Error("the outage is over, though a job still waits for its end")
	}
	r.fake.End(live[merged(2)].Spec.Name, 1, "boom\n")
	r.pass()
	r.pass()
	if r.workersOutage() != nil || r.events(pipeline.EntitySystem, 0, "disk is back after") != 1 {
		t.Errorf("the outage is not over: %+v", r.workersOutage())
	}
	if j := r.want(2, pipeline.TerminalFailure, 1); j.SiteFaults != 0 {
		t.Errorf("a failure of its own leaves %d faults of the site", j.SiteFaults)
	}
}

func TestADiskThatIsFullOnTheNodesTripsTheBreaker(t *testing.T) {
	t.Parallel()
	r := newRig(t, fourTwo)
	for scan := range 4 {
		r.one(scan)
	}
	r.pass()
	for _, j := range r.fake.Jobs() {
		r.fake.Start(j.Spec.Name, "node13")
	}
	r.clock.Advance(5 * time.Hour) // the results find no space
	r.endAll(r.diskFull)
	r.pass()
	r.wantPaused(true)
	r.retryTime()
	r.pass()
	r.endAll(r.diskFull)
	r.pass()
	r.wantPaused(true)
	for _, j := range r.jobs() {
		r.want(j.ID, pipeline.Retrying, 0)
	}
	if n, m := len(r.notices(pipeline.NoticePause)), len(r.notices(pipeline.NoticeOutage)); n != 1 || m != 1 || r.allNotices() != 2 {
		t.Errorf("%d notices of the pause, %d of the disk, %d in all; want one of each", n, m, r.allNotices())
	}
	r.retryTime()
	r.pass()
	r.endAll(r.succeed)
	r.pass()
	r.wantPaused(false)
	r.retryTime()
	r.pass()
	r.endAll(r.succeed)
	r.pass()
	r.pass()
	if r.workersOutage() != nil {
		t.Errorf("the outage is not over: %+v", r.workersOutage())
	}
}

// A real worker under the real local queue, on a real results disk of 8 MiB that
// others have filled.
func TestARealDiskThatIsFull(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *config.Config) {
		c.Processing.Longhaul = self
		c.JobPooler.MaxAttempts = 1
		c.Stages[0].Command = []string{"/bin/sh", "-c", `head -c 3000000 /dev/zero > "$OUTDIR/x"`}
	})
	results := r.cfg.JobPooler.BaseResultsDirectory
	if err := unix.Mount("longhaul-test", results, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0750", 8<<20)); err != nil {
		t.Skipf("no small file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { r.must(unix.Unmount(results, unix.MNT_DETACH)) })
	filler := filepath.Join(results, "filler")
	r.must(os.WriteFile(filler, make([]byte, 7<<20), 0o640))
	r.queue, err = local.New(local.Options{Spool: filepath.Join(jobtrackertest.Dir(r.T, r.store), "spool"), MaxRunning: 2,
		Supervisor: []string{self, "local-supervise"}, Grace: time.Second, Now: r.clock.Now})
	r.must(err)
	r.restart()
	r.one(1)
	r.until("the submit to be taken back", func() bool {
		jobs := r.jobs()
		return len(jobs) == 1 && jobs[0].SiteFaults == 1
	})
	r.wantDetails(1, pipeline.Retrying, 0, "exit status 75", "not enough space in "+results)
	if len(r.workersOutage()) != 1 {
		t.Error("no outage is shown")
	}
	r.must(os.Remove(filler))
	r.retryTime()
	r.until("the job to go well", func() bool { return r.jobs()[0].Status == pipeline.Processed })
	r.want(1, pipeline.Processed, 0)
}
