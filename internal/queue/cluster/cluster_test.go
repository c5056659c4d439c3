package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
)

// fake is a batch system that says what a test tells it to say.
type fake struct {
	list     []Job
	history  []Job
	errs     map[string]error // by call
	asked    [][]string       // of History
	deleted  []string
	script   string
	lists    int
	silent   bool
	onDelete func()
	onList   func(n int)
}

func (f *fake) Kind() string                            { return "fake" }
func (f *fake) Directives(queue.Spec) ([]string, error) { return []string{"#FAKE"}, nil }
func (f *fake) ScriptMode() os.FileMode                 { return 0 }
func (f *fake) ValidID(id string) bool                  { return id != "" && strings.Trim(id, "0123456789") == "" }

func (f *fake) Submit(_ context.Context, _ queue.Spec, script string) (string, error) {
	text, err := os.ReadFile(script)
	if f.errs["submit"] != nil {
		return "", f.errs["submit"]
	}
	f.script = string(text)
	return "7", err
}

func (f *fake) List(context.Context) ([]Job, error) {
	f.lists++
	if f.onList != nil {
		f.onList(f.lists)
	}
	if f.list == nil && f.silent {
		return nil, ErrSilent
	}
	return slices.Clone(f.list), f.errs["list"]
}

func (f *fake) History(_ context.Context, ids []string) ([]Job, error) {
	f.asked = append(f.asked, ids)
	var found []Job
	for _, j := range f.history {
		if slices.Contains(ids, j.ID) {
			found = append(found, j)
		}
	}
	return found, f.errs["history"]
}

func (f *fake) HistoryByName(_ context.Context, name string) ([]Job, error) {
	return slices.DeleteFunc(slices.Clone(f.history), func(j Job) bool { return j.Name != name }), f.errs["history"]
}

func (f *fake) Delete(_ context.Context, id string) error {
	f.deleted = append(f.deleted, id)
	if f.onDelete != nil {
		f.onDelete()
	}
	return f.errs["delete"]
}

// setup returns a Manager of a fake whose clock a test moves.
func setup(t *testing.T, change func(*Options)) (*Manager, *fake, *time.Time) {
	t.Helper()
	now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	f := &fake{errs: make(map[string]error)}
	o := Options{Dir: t.TempDir(), Now: func() time.Time { return now }, Settle: 20 * time.Second, HistoryEvery: time.Minute, DeleteWait: 5 * time.Second}
	if change != nil {
		change(&o)
	}
	m, err := New(f, o)
	if err != nil {
		t.Fatal(err)
	}
	return m, f, &now
}

func spec(name string) queue.Spec {
	return queue.Spec{Name: name, Command: []string{"/bin/true"}, Stdout: "/tmp/o", Stderr: "/tmp/e", Env: map[string]string{"A": "b"}}
}

// taken submits a job and has the fake list it as running.
func taken(t *testing.T, m *Manager, f *fake, name string) queue.Ref {
	t.Helper()
	id, err := m.Submit(t.Context(), spec(name))
	if err != nil {
		t.Fatal(err)
	}
	f.list = []Job{{ID: id, Name: name, State: queue.State{Phase: queue.Running}}}
	ref := queue.Ref{ID: id, Name: name, Submitted: m.o.Now().Unix()}
	if s := poll(t, m, ref); s.Phase != queue.Running {
		t.Fatalf("the job is %+v", s)
	}
	return ref
}

func poll(t *testing.T, m *Manager, ref queue.Ref) queue.State {
	t.Helper()
	states, err := m.Poll(t.Context(), []queue.Ref{ref})
	if err != nil {
		t.Fatal(err)
	}
	return states[ref]
}

// leave writes the record that the worker would leave.
func leave(t *testing.T, m *Manager, name string, exit, signal int) {
	t.Helper()
	r := batch.Record{Name: name, ExitCode: exit, Signal: signal, Node: "n7", EndedAt: m.o.Now()}
	if err := r.Write(batch.RecordPath(m.dir.path, name)); err != nil {
		t.Fatal(err)
	}
}

func ended(reason queue.Reason, code int) queue.State {
	return queue.State{Phase: queue.Finished, Reason: reason, ExitCode: code}
}

func TestWhatIsKnownOfAJobThatHasLeftTheList(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		deleted bool
		record  func(*testing.T, *Manager)
		history *queue.State
		after   time.Duration
		phase   queue.Phase
		reason  queue.Reason
		code    int
		asked   int
	}{
		{name: "nothing yet: it is what it was", phase: queue.Running, asked: 1},
		{name: "nothing for long: unknown", after: time.Hour, phase: queue.Unknown, asked: 1},
		{name: "a clean record needs no history", record: left(3, 0), history: new(ended(queue.NodeFailed, 0)),
			phase: queue.Finished, reason: queue.Exited, code: 3},
		{name: "a record of a signal waits for the history's reason", record: left(137, 9), phase: queue.Running, asked: 1},
		{name: "a record of a signal gets the history's reason", record: left(137, 9), history: new(ended(queue.OutOfMemory, 137)),
			phase: queue.Finished, reason: queue.OutOfMemory, code: 137, asked: 1},
		{name: "a worker told to stop by the time limit", record: left(143, 0), history: new(ended(queue.TimedOut, 0)),
			phase: queue.Finished, reason: queue.TimedOut, asked: 1},
		{name: "a record of a signal is the last word in the end", record: left(137, 9), after: time.Hour,
			phase: queue.Finished, reason: queue.Signaled, code: 137, asked: 1},
		{name: "a signal after a deletion of ours", deleted: true, history: new(ended(queue.Signaled, 137)),
			phase: queue.Finished, reason: queue.Cancelled, code: 137, asked: 1},
		{name: "a deletion that came too late", deleted: true, history: new(ended(queue.Exited, 4)),
			phase: queue.Finished, reason: queue.Exited, code: 4, asked: 1},
		{name: "a deletion that left nothing", deleted: true, phase: queue.Finished, reason: queue.Cancelled, asked: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, f, now := setup(t, nil)
			ref := taken(t, m, f, "job")
			f.list = nil
			if tt.deleted {
				if err := m.dir.markDeleted("job"); err != nil {
					t.Fatal(err)
				}
			}
			if tt.record != nil {
				tt.record(t, m)
			}
			if tt.history != nil {
				f.history = []Job{{ID: ref.ID, Name: "job", State: *tt.history}}
			}
			*now = now.Add(tt.after)
			s := poll(t, m, ref)
			if s.Phase != tt.phase || s.Reason != tt.reason || s.ExitCode != tt.code || len(f.asked) != tt.asked {
				t.Errorf("it is %+v after %d questions, want %s %s %d after %d", s, len(f.asked), tt.phase, tt.reason, tt.code, tt.asked)
			}
		})
	}
}

func left(exit, signal int) func(*testing.T, *Manager) {
	return func(t *testing.T, m *Manager) { leave(t, m, "job", exit, signal) }
}

func TestTheHistoryIsAskedALittleAtATime(t *testing.T) {
	t.Parallel()
	m, f, now := setup(t, func(o *Options) { o.HistoryMax = 2 })
	var refs []queue.Ref
	for _, id := range []string{"1", "2", "3", "4", "5"} {
		refs = append(refs, queue.Ref{ID: id, Name: "j" + id})
	}
	for range 5 {
		if _, err := m.Poll(t.Context(), refs); err != nil {
			t.Fatal(err)
		}
	}
	all := slices.Concat(f.asked...)
	slices.Sort(all)
	if len(f.asked) != 3 || !slices.Equal(all, []string{"1", "2", "3", "4", "5"}) {
		t.Errorf("asked %v, want each of five once, two at a time", f.asked)
	}
	*now = now.Add(2 * time.Minute)
	if _, err := m.Poll(t.Context(), refs); err != nil || len(f.asked) != 4 {
		t.Errorf("asked %v (%v), want again when its time had come", f.asked, err)
	}
}

func TestAStuckJobThatLeftARecordHasEnded(t *testing.T) {
	t.Parallel()
	m, f, _ := setup(t, nil)
	ref := taken(t, m, f, "job")
	f.list = []Job{{ID: ref.ID, Name: "job", Stuck: true, State: queue.State{Phase: queue.Queued, Detail: "error"}}}
	if s := poll(t, m, ref); s.Phase != queue.Queued || s.Detail != "error" {
		t.Errorf("without a record it is %+v", s)
	}
	leave(t, m, "job", 100, 0)
	if s := poll(t, m, ref); s.Reason != queue.Exited || s.ExitCode != 100 {
		t.Errorf("with a record it is %+v", s)
	}
}

func TestSubmitLeavesNothingOfWhatWasSurelyNotTaken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err, want error
		sure      bool
	}{
		{queue.ErrRejected, queue.ErrRejected, true},
		{ErrRefused, pipeline.ErrOutage, true},
		{errors.New("no answer"), pipeline.ErrOutage, false},
	} {
		m, f, now := setup(t, nil)
		f.errs["submit"] = tt.err
		if _, err := m.Submit(t.Context(), spec("job")); !errors.Is(err, tt.want) {
			t.Errorf("Submit = %v, want %v", err, tt.want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := m.Find(ctx, "job")
		cancel()
		if got := errors.Is(err, queue.ErrUnknown); got != tt.sure {
			t.Errorf("after %v Find = %v, want it to be sure: %v", tt.err, err, tt.sure)
		}
		*now = now.Add(time.Minute)
		if _, err := m.Find(t.Context(), "job"); !errors.Is(err, queue.ErrUnknown) {
			t.Errorf("after %v and a minute Find = %v, want ErrUnknown", tt.err, err)
		}
	}
}

func TestFindKnowsWhatLeftOnlyARecord(t *testing.T) {
	t.Parallel()
	m, f, _ := setup(t, nil)
	f.errs["submit"] = errors.New("the reply is lost")
	if _, err := m.Submit(t.Context(), spec("job")); err == nil {
		t.Fatal("the reply was not lost")
	}
	leave(t, m, "job", 0, 0)
	id, err := m.Find(t.Context(), "job")
	if err != nil {
		t.Fatal(err)
	}
	if s := poll(t, m, queue.Ref{ID: id, Name: "job"}); !s.Succeeded() {
		t.Errorf("by the ID %q it is %+v", id, s)
	}
	if text, err := m.Errors(t.Context(), id); text != "" || err != nil {
		t.Errorf("Errors = %q, %v", text, err)
	}
	if err := m.Delete(t.Context(), id); err != nil || len(f.deleted) > 0 {
		t.Errorf("Delete = %v, and the batch system was told %v", err, f.deleted)
	}
}

func TestOnlyOurJobsAreCountedAndDeleted(t *testing.T) {
	t.Parallel()
	m, f, _ := setup(t, func(o *Options) { o.Prefix = "longhaul-" })
	f.list = []Job{
		{ID: "1", Name: "longhaul-1", State: queue.State{Phase: queue.Running}},
		{ID: "2", Name: "thesis", State: queue.State{Phase: queue.Running}},
		{ID: "3", Name: "longhaul-3", State: queue.State{Phase: queue.Queued}},
		{ID: "4", Name: "longhaul-4", State: ended(queue.Exited, 0)},
	}
	if r, q, err := m.Status(t.Context()); r != 1 || q != 1 || err != nil {
		t.Errorf("Status = %d, %d, %v, want 1 and 1", r, q, err)
	}
	if err := m.Delete(t.Context(), "2"); !errors.Is(err, queue.ErrUnknown) || len(f.deleted) > 0 {
		t.Errorf("Delete of another's = %v, and the batch system was told %v", err, f.deleted)
	}
	f.onDelete = func() { f.list = nil }
	if err := m.Delete(t.Context(), "3"); err != nil || !slices.Equal(f.deleted, []string{"3"}) {
		t.Errorf("Delete = %v, and the batch system was told %v", err, f.deleted)
	}
}

func TestADeletedJobThatDoesNotDieIsAnOutage(t *testing.T) {
	t.Parallel()
	m, f, _ := setup(t, func(o *Options) { o.DeleteWait = 100 * time.Millisecond })
	f.list = []Job{{ID: "1", Name: "job", State: queue.State{Phase: queue.Running}}}
	if err := m.Delete(t.Context(), "1"); !errors.Is(err, pipeline.ErrOutage) || !strings.Contains(err.Error(), "still there") {
		t.Errorf("Delete = %v, want an outage", err)
	}
}

func TestSilenceIsAskedAbout(t *testing.T) {
	t.Parallel()
	m, f, _ := setup(t, nil)
	f.silent = true
	if r, q, err := m.Status(t.Context()); r+q != 0 || err != nil || f.lists != 2 {
		t.Errorf("Status = %d, %d, %v after %d lists, want none after two", r, q, err, f.lists)
	}
	ref := taken(t, m, f, "job")
	whole := f.list
	f.onList = func(n int) {
		f.list = whole
		if n%2 == 1 {
			f.list = nil
		}
	}
	f.lists = 0
	if states, err := m.Poll(t.Context(), []queue.Ref{ref}); !errors.Is(err, pipeline.ErrOutage) {
		t.Errorf("Poll = %v, %v, want an outage", states, err)
	}
}

func TestListAndPrune(t *testing.T) {
	t.Parallel()
	m, f, now := setup(t, nil)
	taken(t, m, f, "known")
	taken(t, m, f, "lost")
	live := taken(t, m, f, "live")
	leave(t, m, "known", 0, 0)
	*now = now.Add(time.Hour)
	all, err := m.List(t.Context(), func(name string) bool { return name == "known" })
	if err != nil || len(all) != 1 || all[0].Name != "live" || all[0].ID != live.ID || all[0].Env["A"] != "b" || all[0].Submitted.IsZero() {
		t.Errorf("List = %+v, %v, want the live one", all, err)
	}
	if n, err := m.Prune(t.Context(), time.Minute); n != 2 || err != nil {
		t.Errorf("Prune = %d, %v, want 2", n, err)
	}
	files, err := filepath.Glob(filepath.Join(m.dir.path, "*"))
	if err != nil || len(files) != 4 { // script, job.json, id of live, and its name
		t.Errorf("left are %v, %v", files, err)
	}
}

func TestShareKeepsTooManyJobsFromANode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ cpus, jobs, want int }{{0, 2, 0}, {8, 0, 0}, {8, 8, 1}, {8, 4, 2}, {8, 1, 5}, {8, 3, 3}, {2, 4, 1}} {
		if got := (Options{CPUsPerNode: tt.cpus, JobsPerNode: tt.jobs}).share(); got != tt.want {
			t.Errorf("of %d CPUs for %d jobs each asks for %d, want %d", tt.cpus, tt.jobs, got, tt.want)
		}
	}
}

func TestIDsFromOutsideStayInTheDirectory(t *testing.T) {
	t.Parallel()
	m, _, _ := setup(t, nil)
	for _, id := range []string{"../../etc/passwd", "..", "a/b", "a\x00b", "*"} {
		if err := m.dir.setID("job", id); err != nil && !strings.Contains(id, "\x00") {
			t.Errorf("%q: %v", id, err)
		}
		if name := m.dir.name(id); name != "job" && !strings.Contains(id, "\x00") {
			t.Errorf("%q is of %q", id, name)
		}
	}
	if err := m.dir.setID("job", strings.Repeat("9", maxID+1)); err == nil {
		t.Error("an ID of any length is noted")
	}
}
