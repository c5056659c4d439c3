package pool_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/resultdir"
)

// unmount takes a directory away, as if its disk were not mounted; the mount
// point stays if it is a directory of its own. It returns how to mount it again.
func (r *rig) unmount(dir string, mountPoint bool) (mount func()) {
	r.Helper()
	aside := dir + ".aside"
	r.must(os.Rename(dir, aside))
	if mountPoint {
		r.must(os.Mkdir(dir, 0o750))
	}
	return func() {
		r.Helper()
		if mountPoint {
			r.must(os.Remove(dir)) // fails if anything was written there
		}
		r.must(os.Rename(aside, dir))
	}
}

func TestAResultsDiskThatIsNotMountedFailsNothing(t *testing.T) {
	t.Parallel()
	for name, mountPoint := range map[string]bool{"the mount point is gone": false, "the mount point is empty": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.submitted(1) // ends well
			forgotten, killed := r.submitted(2), r.submitted(3)
			r.loseReply()
			r.one(4)
			r.outage(pipeline.QueueManager)
			r.fake.Up()
			for _, j := range r.fake.Jobs() {
				r.succeed(j)
			}
			r.fake.Forget(forgotten.Spec.Name)
			r.fake.Kill(killed.Spec.Name, queue.NodeFailed, "")
			r.fake.Forget(r.last().Spec.Name) // whose reply was lost
			mount := r.unmount(r.cfg.JobPooler.BaseResultsDirectory, mountPoint)
			for range 3 {
				err := r.outage(pipeline.LocalDisk)
				if !strings.Contains(err.Error(), r.cfg.JobPooler.BaseResultsDirectory) {
					t.Errorf("%v does not name the directory", err)
				}
				r.clock.Advance(r.cfg.JobPooler.LostAfter.Std())
			}
			for id := range pipeline.JobID(4) {
				r.want(id+1, pipeline.Submitted, 0)
			}
			mount()
			r.pass()
			for id := range pipeline.JobID(4) {
				r.want(id+1, pipeline.Processed, 0)
			}
		})
	}
}

func TestNothingIsSubmittedWithoutTheResultsDisk(t *testing.T) {
	t.Parallel()
	for name, mountPoint := range map[string]bool{"the mount point is gone": false, "the mount point is empty": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.submitted(1)
			r.one(2)
			mount := r.unmount(r.cfg.JobPooler.BaseResultsDirectory, mountPoint)
			for range 3 {
				r.outage(pipeline.LocalDisk)
			}
			r.want(2, pipeline.New, 0)
			mount()
			r.pass()
			r.want(2, pipeline.Submitted, 0)
		})
	}
}

func TestTheResultsDiskIsMarkedBeforeTheFirstJobOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	marker := filepath.Join(r.cfg.JobPooler.BaseResultsDirectory, resultdir.Marker)
	r.pass()
	if _, err := os.Stat(marker); !os.IsNotExist(err) {
		t.Errorf("marked without need: %v", err)
	}
	r.submitted(1)
	r.must(os.Remove(marker))
	r.one(2)
	if err := r.outage(pipeline.LocalDisk); !strings.Contains(err.Error(), "make that file") {
		t.Errorf("%v does not tell what to do", err)
	}
	r.must(os.WriteFile(marker, nil, 0o640))
	r.pass()
	r.want(2, pipeline.Submitted, 0)
}

func TestARawDataDiskThatIsNotMountedFailsNothing(t *testing.T) {
	t.Parallel()
	for name, mountPoint := range map[string]bool{"the mount point is gone": false, "the mount point is empty": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, idle)
			r.one(1)
			r.pass()
			r.one(2)
			r.pass()
			r.cfg.JobPooler.MaxJobsRunning = 10
			mount := r.unmount(r.raw(), mountPoint)
			for range 3 {
				r.outage(pipeline.LocalDisk)
			}
			r.want(1, pipeline.New, 0)
			r.want(2, pipeline.New, 0)
			if n := len(r.fake.Jobs()); n != 0 {
				t.Errorf("%d jobs were submitted without their input", n)
			}
			mount()
			r.pass()
			r.want(1, pipeline.Submitted, 0)
			r.want(2, pipeline.Submitted, 0)
		})
	}
}

func TestAJobWithoutItsDiskDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t, idle)
	file := r.one(1)
	r.pass()
	for scan := range 5 {
		r.one(10 + scan)
	}
	r.pass()
	loop := filepath.Join(r.raw(), "loop")
	r.must(os.Symlink(loop, loop))
	r.must(os.Remove(file.Path))
	r.must(os.Symlink(loop, file.Path)) // cannot be looked at
	r.cfg.JobPooler.MaxJobsRunning, r.cfg.JobPooler.MaxJobsQueued = 4, 10
	r.outage(pipeline.LocalDisk)
	r.want(1, pipeline.New, 0)
	if n := len(r.fake.Jobs()); n != 4 {
		t.Errorf("%d others were submitted, want the 4 that there is room for", n)
	}
}

func TestAFileInTheWayOfAnOutputDirectoryHoldsUpItsJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.must(os.WriteFile(filepath.Join(r.cfg.JobPooler.BaseResultsDirectory, "20120414"), nil, 0o640))
	r.one(1)
	r.outage(pipeline.LocalDisk)
	r.want(1, pipeline.New, 0)
}

func TestNothingIsSubmittedWithoutADirectoryForItsLogs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.must(os.Remove(r.cfg.Basic.QsublogDir))
	r.one(1)
	r.outage(pipeline.LocalDisk)
	r.want(1, pipeline.New, 0)
	r.must(os.Mkdir(r.cfg.Basic.QsublogDir, 0o750))
	r.pass()
	r.want(1, pipeline.Submitted, 0)
}
