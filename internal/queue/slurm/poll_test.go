package slurm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/queue/batch"
)

// fake is what scripted commands answer, and what they were asked.
type fake struct {
	queue, accounts []string // lines
	noAccounting    bool
	sacctFails      bool
	scancelFails    bool
	asked           []string
}

func (f *fake) run(argv []string) (batch.Output, error) {
	f.asked = append(f.asked, strings.Join(argv, " "))
	lines := func(heading string, lines []string) (batch.Output, error) {
		return batch.Output{Stdout: []byte(heading + "\n" + strings.Join(append(lines, ""), "\n"))}, nil
	}
	failed := batch.Output{ExitCode: 1, Stderr: []byte(argv[0] + ": error: Connection refused\n")}
	switch argv[0] {
	case "squeue":
		return lines("JOBID|STATE|REASON|EXIT_CODE|SUBMIT_TIME|START_TIME|END_TIME|EXEC_HOST|NAME|COMMENT|STDERR|", f.queue)
	case "sacct":
		if f.sacctFails {
			return failed, nil
		}
		return lines("JobIDRaw|State|ExitCode|Submit|Start|End|NodeList|JobName", f.accounts)
	case "scontrol":
		kind := "accounting_storage/slurmdbd"
		if f.noAccounting {
			kind = "accounting_storage/none"
		}
		return batch.Output{Stdout: []byte("AccountingStorageType   = " + kind + "\n")}, nil
	case "scancel":
		if f.scancelFails {
			return failed, nil
		}
		return batch.Output{}, nil
	}
	return batch.Output{}, pipeline.Outage(pipeline.QueueManager, fmt.Errorf("no such command: %s", argv[0]))
}

func (f *fake) count(command string) int {
	n := 0
	for _, a := range f.asked {
		if strings.HasPrefix(a, command+" ") {
			n++
		}
	}
	return n
}

func scriptedManager(t testing.TB, run scripted) *Manager {
	return open(t, Options{Dir: t.TempDir(), Commands: run})
}

// at is a time for made-up lines.
var at = time.Unix(1795311900, 0)

// line is one of squeue's.
func line(id, state, reason, exit, name string) string {
	return fmt.Sprintf("%s|%s|%s|%s|%d|%d|%d|n1|%s|%s|/logs/%s.err|", id, state, reason, exit, at.Unix(), at.Unix()+1, at.Unix()+2, name, name, name)
}

// account is one of sacct's.
func account(id, state, exit, name string) string {
	return fmt.Sprintf("%s|%s|%s|%d|%d|%d|n1|%s", id, state, exit, at.Unix(), at.Unix()+1, at.Unix()+2, name)
}

func TestPoll(t *testing.T) {
	t.Parallel()
	ref := queue.Ref{ID: "7", Name: "job-7", Submitted: at.Unix()}
	for _, tt := range []struct {
		name   string
		fake   fake
		record *batch.Record
		want   string // "" for an outage
	}{
		{"what the controller says counts", fake{queue: []string{line("7", "RUNNING", "None", "0", "job-7")}, accounts: []string{account("7", "FAILED", "1:0", "job-7")}}, nil, "running"},
		{"the exit status is the controller's", fake{queue: []string{line("7", "FAILED", "NonZeroExitCode", "33280", "job-7")}}, nil, "finished, exited, 130"},
		{"what it has forgotten is in the accounting", fake{accounts: []string{account("7", "FAILED", "3:0", "job-7")}}, nil, "finished, exited, 3: exit status 3 or 131"},
		{"whose exit statuses the worker corrects", fake{accounts: []string{account("7", "FAILED", "2:0", "job-7")}}, &batch.Record{ExitCode: 130}, "finished, exited, 130"},
		{"whose success nobody corrects", fake{accounts: []string{account("7", "COMPLETED", "0:0", "job-7")}}, &batch.Record{ExitCode: 1}, "finished, exited, 0"},
		{"a stage that was killed is a signal", fake{queue: []string{line("7", "FAILED", "NonZeroExitCode", "35072", "job-7")}}, &batch.Record{ExitCode: 137, Signal: 9}, "finished, signal, 137"},
		{"a time limit is one, whatever the worker says", fake{queue: []string{line("7", "TIMEOUT", "TimeLimit", "0", "job-7")}}, &batch.Record{ExitCode: 143, Signal: 15}, "finished, time limit, 0: TIMEOUT, TimeLimit"},
		{"without accounting the worker's record counts", fake{noAccounting: true}, &batch.Record{ExitCode: 4}, "finished, exited, 4"},
		{"without any record it is unknown", fake{noAccounting: true}, nil, "unknown"},
		{"the accounting does not know it", fake{}, nil, "unknown"},
		{"the accounting cannot be asked", fake{sacctFails: true}, nil, ""},
		{"nor needs to be, if there is a record", fake{sacctFails: true}, &batch.Record{}, "finished, exited, 0"},
		{"the controller has lost it", fake{accounts: []string{account("7", "RUNNING", "0:0", "job-7")}}, nil, "unknown: unknown to the controller; the accounting says RUNNING"},
		{"the controller has lost it, and it ended", fake{accounts: []string{account("7", "RUNNING", "0:0", "job-7")}}, &batch.Record{ExitCode: 2}, "finished, exited, 2"},
		{"its ID is another job's", fake{queue: []string{line("7", "COMPLETED", "None", "0", "job-8")}, noAccounting: true}, nil, "unknown"},
		{"its ID is another job's, and the accounting has both", fake{queue: []string{line("7", "COMPLETED", "None", "0", "job-8")}, accounts: []string{account("7", "FAILED", "5:0", "job-7"), account("7", "COMPLETED", "0:0", "job-8")}}, nil, "finished, exited, 5: exit status 5 or 133"},
		{"its ID was another job's months ago", fake{noAccounting: true, queue: []string{strings.ReplaceAll(line("7", "COMPLETED", "None", "0", "job-7"), "17953119", "17800000")}}, nil, "unknown"},
		{"a plug-in changed its name", fake{queue: []string{strings.Replace(line("7", "RUNNING", "None", "0", "job-7"), "|job-7|", "|site_job-7|", 1)}}, nil, "running"},
		{"slurm holds it for ever", fake{queue: []string{line("7", "PENDING", "launch_failed_requeued_held", "0", "job-7")}}, nil, "finished, lost, 0: slurm could not start it and held it: launch_failed_requeued_held"},
		{"slurm holds it for ever, but it ran", fake{queue: []string{line("7", "PENDING", "launch_failed_requeued_held", "0", "job-7")}}, &batch.Record{}, "finished, exited, 0"},
		{"it cannot be let go", fake{scancelFails: true, queue: []string{line("7", "PENDING", "launch_failed_requeued_held", "0", "job-7")}}, nil, "queued: will not start by itself: launch_failed_requeued_held"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := scriptedManager(t, tt.fake.run)
			if r := tt.record; r != nil {
				r.Name, r.EndedAt = ref.Name, at
				if err := r.Write(batch.RecordPath(m.opt.Dir, ref.Name)); err != nil {
					t.Fatal(err)
				}
			}
			states, err := m.Poll(t.Context(), []queue.Ref{ref})
			if tt.want == "" {
				if !errors.Is(err, pipeline.ErrOutage) {
					t.Errorf("Poll = %v, %v, want an outage", states, err)
				}
				return
			}
			if err != nil || len(states) != 1 || brief(states[ref]) != tt.want {
				t.Errorf("Poll = %v, %v, want %q", states, err, tt.want)
			}
		})
	}
}

func TestOnePollIsOneQuestion(t *testing.T) {
	t.Parallel()
	f := &fake{}
	var refs []queue.Ref
	for i := range 400 {
		id, name := fmt.Sprint(i+1), fmt.Sprintf("job-%d", i+1)
		refs = append(refs, queue.Ref{ID: id, Name: name, Submitted: at.Unix()})
		if i%2 == 0 {
			f.queue = append(f.queue, line(id, "RUNNING", "None", "0", name))
		} else {
			f.accounts = append(f.accounts, account(id, "COMPLETED", "0:0", name))
		}
	}
	m := scriptedManager(t, f.run)
	for range 3 {
		states, err := m.Poll(t.Context(), refs)
		if err != nil || len(states) != len(refs) || states[refs[0]].Phase != queue.Running || !states[refs[1]].Succeeded() {
			t.Fatalf("Poll: %v", err)
		}
	}
	if a, b, c := f.count("squeue"), f.count("sacct"), f.count("scontrol"); a != 3 || b != 3 || c != 1 {
		t.Errorf("three polls asked squeue %d times, sacct %d times, scontrol %d times", a, b, c)
	}
}

func TestAnAnswerServesForAWhile(t *testing.T) {
	t.Parallel()
	f := &fake{queue: []string{line("7", "RUNNING", "None", "0", "job-7")}}
	m := open(t, Options{Dir: t.TempDir(), Commands: scripted(f.run), PollEvery: time.Hour})
	ref := queue.Ref{ID: "7", Name: "job-7"}
	for range 3 {
		_, err1 := m.Poll(t.Context(), []queue.Ref{ref})
		_, _, err2 := m.Status(t.Context())
		_, err3 := m.Find(t.Context(), "job-7")
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.count("squeue"); n != 1 {
		t.Errorf("squeue was asked %d times", n)
	}
}

func TestFindAsksTheAccountingBeforeItSaysNo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		fake fake
		id   string
		err  error
	}{
		{"in the queue", fake{queue: []string{line("7", "PENDING", "Priority", "0", "job-7")}}, "7", nil},
		{"in the accounting alone", fake{accounts: []string{account("7", "RUNNING", "0:0", "job-7")}}, "7", nil},
		{"nowhere", fake{}, "", queue.ErrUnknown},
		{"nowhere, without accounting", fake{noAccounting: true}, "", queue.ErrUnknown},
		{"the accounting is away", fake{sacctFails: true}, "", pipeline.ErrOutage},
		{"twice, and one of them runs", fake{queue: []string{
			line("7", "PENDING", "Priority", "0", "job-7"), line("9", "RUNNING", "None", "0", "job-7"), line("8", "FAILED", "None", "256", "job-7"),
		}}, "9", nil},
	} {
		m := scriptedManager(t, tt.fake.run)
		if id, err := m.Find(t.Context(), "job-7"); id != tt.id || !errors.Is(err, tt.err) {
			t.Errorf("%s: %q, %v, want %q, %v", tt.name, id, err, tt.id, tt.err)
		}
	}
}

func TestOthersAreNotCountedAndNotDeleted(t *testing.T) {
	t.Parallel()
	stranger := strings.Replace(line("8", "RUNNING", "None", "0", "analysis"), "analysis|analysis", "analysis|(null)", 1)
	f := &fake{queue: []string{line("7", "RUNNING", "None", "0", "job-7"), stranger}}
	m := scriptedManager(t, f.run)
	if running, queued, err := m.Status(t.Context()); running != 1 || queued != 0 || err != nil {
		t.Errorf("Status = %d, %d, %v", running, queued, err)
	}
	if err := m.Delete(t.Context(), "8"); !errors.Is(err, queue.ErrUnknown) {
		t.Errorf("Delete of another's job = %v", err)
	}
	if _, err := m.Errors(t.Context(), "8"); !errors.Is(err, queue.ErrUnknown) {
		t.Errorf("Errors of another's job = %v", err)
	}
	if slices.ContainsFunc(f.asked, func(a string) bool { return strings.HasPrefix(a, "scancel") }) {
		t.Error("scancel was called")
	}
}

func TestDeleteNamesTheJobBesidesItsID(t *testing.T) {
	t.Parallel()
	f := &fake{queue: []string{line("7", "RUNNING", "None", "0", "job-7")}}
	m := scriptedManager(t, func(argv []string) (batch.Output, error) {
		if argv[0] == "scancel" {
			f.queue = []string{line("7", "CANCELLED", "None", "15", "job-7")}
		}
		return f.run(argv)
	})
	if err := m.Delete(t.Context(), "7"); err != nil {
		t.Fatal(err)
	}
	if want := "scancel --user=" + uid() + " --name=job-7 7"; !slices.Contains(f.asked, want) {
		t.Errorf("asked %q, want %q", f.asked, want)
	}
}
