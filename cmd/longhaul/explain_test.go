package main

import (
	"strings"
	"testing"
	"time"

	"longhaul/internal/archive/archivetest"
	"longhaul/internal/pipeline"
)

// processed brings a job to results that wait for their upload.
func (w *world) processed(j pipeline.Job) {
	w.t.Helper()
	w.check(w.as("jobpooler").SubmitProcessed(w.t.Context(), w.runSubmit(j, "node1"), endOf("results are there")))
}

// remove carries an operator's wish out, as the uploader does.
func (w *world) remove(names ...string) {
	w.t.Helper()
	w.ok(append([]string{"remove-files"}, names...)...)
	uploader := w.as("uploader")
	for _, f := range must(uploader.FilesToDelete(w.t.Context()))(w) {
		w.check(uploader.FileDeleted(w.t.Context(), f))
	}
}

func TestExplainSaysWhatStopsAndWhatIsNext(t *testing.T) {
	t.Parallel()
	const allRun = "downloader jobpooler uploader"
	type site struct {
		settings settings
		runs     string // daemons
		make     func(*world)
		ask      string
		says     []string
	}
	for name, c := range map[string]site{
		"a request whose answer was lost": {runs: allRun, ask: "request 1",
			make: func(w *world) { must(w.store.BeginRequest(w.t.Context(), 5, 4, "mock"))(w); w.pass(time.Hour) },
			says: []string{"the archive was asked at 2026-03-14 03:00:00 (1h00m ago) and its answer is not here", "Next: the downloader asks again"}},
		"a request without the downloader": {ask: "request 1",
			make: func(w *world) { must(w.store.BeginRequest(w.t.Context(), 5, 4, "mock"))(w) },
			says: []string{"the downloader does not run", "Next: start the downloader", "systemctl start longhaul-downloader", "longhaul run downloader"}},
		"a request in an outage of the archive": {runs: allRun, ask: "request 1",
			make: func(w *world) {
				must(w.store.BeginRequest(w.t.Context(), 5, 4, "mock"))(w)
				w.outage("downloader", pipeline.RestoreService, "503 Service Unavailable")
				w.pass(time.Hour)
			},
			says: []string{"the restore service has not answered the downloader since 2026-03-14 03:00:00 (1h00m): 503", "Next: the restore service is asked again and again", "longhaul preflight"}},
		"a request that nobody can ask about": {runs: allRun, ask: "request 1",
			make: func(w *world) {
				id := must(w.store.BeginRequest(w.t.Context(), 5, 4, "mock"))(w)
				w.check(w.store.NameRequest(w.t.Context(), id, "the-guid"))
				w.pass(2 * time.Hour)
			},
			says: []string{"request 1 the-guid", "5 observations were asked for", "what the archive says about it is not known: Location: restore service", "the request is given up in 4h00m (request_timeout 6h)"}},
		"a request that is overdue": {runs: allRun, ask: "request 1",
			make: func(w *world) {
				id := must(w.store.BeginRequest(w.t.Context(), 5, 4, "mock"))(w)
				w.check(w.store.NameRequest(w.t.Context(), id, "the-guid"))
				w.pass(7 * time.Hour)
			},
			says: []string{"request_timeout, 6h, is over", "Next: the downloader gives it up"}},
		"a request that failed": {runs: allRun, ask: "request 1",
			make: func(w *world) {
				id := must(w.store.BeginRequest(w.t.Context(), 5, 4, "mock"))(w)
				w.check(w.store.FailRequest(w.t.Context(), id, "the service said fail", pipeline.Notice{Kind: pipeline.NoticeRequestFailed, Subject: "x"}))
			},
			says: []string{"it was given up at 2026-03-14 03:00:00: the service said fail", "Next: a new request is made"}},
		"a file that is due": {runs: allRun, ask: "file 1",
			make: func(w *world) { w.enter(w.rawFile(1, 0, 5)) },
			says: []string{"nothing stands in its way", "Next: the downloader fetches it at its next pass, within 1m"}},
		"a file behind others": {runs: allRun, ask: "file 3", settings: settings{"numdownloads": "1"},
			make: func(w *world) { w.begin(w.enter(w.rawFile(1, 0, 5), w.rawFile(1, 1, 5), w.rawFile(2, 0, 5))[0], 1) },
			says: []string{"all slots are taken: 1 of 1 downloads are running", "1 file is due before it", "longhaul status"}},
		"a file without space": {runs: allRun, ask: "file 1", settings: settings{"space_to_use": `"1MB"`},
			make: func(w *world) { w.enter(w.rawFile(1, 0, 5e6)) },
			says: []string{"there is no space: it needs 5.00 MB, and 1.00 MB may come (space_to_use 1MB", "longhaul list files --status downloaded"}},
		"a file that is tried later": {runs: allRun, ask: "file 1",
			make: func(w *world) { w.failDownload(w.enter(w.rawFile(1, 0, 5))[0], "connection reset", false) },
			says: []string{"it failed at 2026-03-14 03:20:01: connection reset", "1 of 3 attempts are used up", "not tried again before 2026-03-14 03:21:01 (in 1m00s)", "Next: it is tried again by itself in 1m00s"}},
		"a file on its way": {runs: allRun, ask: "file 1",
			make: func(w *world) { w.begin(w.enter(w.rawFile(1, 0, 4e6))[0], 1e6) },
			says: []string{"1.00 MB of 4.00 MB are here", "Next: it is done in about 5m00s, at 10.0 kB/s"}},
		"a file on its way when the downloader died": {ask: "file 1",
			make: func(w *world) { w.begin(w.enter(w.rawFile(1, 0, 4e6))[0], 1e6) },
			says: []string{"the downloader does not run", "Next: start the downloader"}},
		"a file whose partner nobody sends": {runs: allRun, ask: "file 1",
			make: func(w *world) { w.fetch(w.enter(w.rawFile(1, 0, 5))[0]) },
			says: []string{"it waits for subband=1", "no other file of the group is on its way", "longhaul add-files PATH", "longhaul remove-files 1"}},
		"a file whose partner was given up": {runs: allRun, ask: "file 1",
			make: func(w *world) {
				files := w.enter(w.rawFile(1, 0, 5), w.rawFile(1, 1, 5))
				w.fetch(files[0])
				w.failDownload(files[1], "gone", true)
			},
			says: []string{"it waits for subband=1", "of the same group is terminal_failure", "longhaul explain file 2"}},
		"a file whose partner was removed": {runs: allRun, ask: "file 1",
			make: func(w *world) {
				files := w.enter(w.rawFile(1, 0, 5), w.rawFile(1, 1, 5))
				w.fetch(files[0])
				w.failDownload(files[1], "gone", true)
				w.remove("2")
			},
			says: []string{"of the same group is deleted", "longhaul remove-files 1"}},
		"a file of a product that is no more": {runs: allRun, ask: "file 1",
			make: func(w *world) {
				f := w.rawFile(1, 0, 5)
				f.Product = "wapp"
				w.fetch(w.enter(f)[0])
			},
			says: []string{`can make no job: the configuration has no product "wapp"`, "longhaul remove-files ID"}},
		"a file of a complete group": {ask: "file 1", runs: "downloader",
			make: func(w *world) {
				for _, f := range w.enter(w.rawFile(1, 0, 5), w.rawFile(1, 1, 5)) {
					w.fetch(f)
				}
			},
			says: []string{"is complete", "the jobpooler does not run", "Next: start the jobpooler"}},
		"a file of a job": {runs: allRun, ask: "file 1", make: func(w *world) { w.job(1) },
			says: []string{"it is input of job 1,", "stage quicklook, which is new", "longhaul explain job 1"}},
		"a file that is to be deleted": {ask: "file 1",
			make: func(w *world) { w.fetch(w.enter(w.rawFile(1, 0, 5))[0]); w.ok("remove-files", "1") },
			says: []string{"it is to be deleted", "the uploader does not run", "Next: start the uploader"}},
		"a file that was given up": {runs: allRun, ask: "file 1",
			make: func(w *world) {
				files := w.enter(w.rawFile(1, 0, 5), w.rawFile(1, 1, 5))
				w.failDownload(files[0], "connection reset", false)
				w.failDownload(files[0], "connection reset", false)
				w.failDownload(files[0], "no such file", true)
				w.fetch(files[1])
			},
			says: []string{"it failed 3 times, first at 2026-03-14 03:20:01: connection reset", "and last at 2026-03-14 03:20:03: no such file", "file 2, " + rawName(1, 1) + ", of the same group waits for it", "longhaul retry-files 1", "longhaul remove-files 1"}},
		"a download attempt": {runs: allRun, ask: "attempt 1",
			make: func(w *world) { w.failDownload(w.enter(w.rawFile(1, 0, 5))[0], "connection reset", false) },
			says: []string{"it fetched 0 B, from byte 0 on: connection reset", "longhaul explain file 1"}},
		"a job that is due": {runs: allRun, ask: "job 1", make: func(w *world) { w.job(1) },
			says: []string{"nothing stands in its way", "Next: the jobpooler submits it at its next pass"}},
		"a job behind another that is tried again": {runs: allRun, ask: "job 1",
			make: func(w *world) { w.job(1); w.failJob(w.job(2), "exit status 1", "", false) },
			says: []string{"1 job is due before it"}},
		"a job without the jobpooler": {ask: "job 1", make: func(w *world) { w.job(1) },
			says: []string{"the jobpooler does not run", "Next: start the jobpooler"}},
		"a job in an outage of the queue": {runs: allRun, ask: "job 1",
			make: func(w *world) { w.job(1); w.outage("jobpooler", pipeline.QueueManager, "squeue: timed out") },
			says: []string{"the queue manager has not answered the jobpooler since", "squeue: timed out"}},
		"a job behind a submission in doubt": {runs: allRun, ask: "job 2",
			make: func(w *world) { w.unanswered(w.job(1)); w.job(2) },
			says: []string{"nothing is submitted until the jobpooler knows whether submit 1, longhaul-unanswered, has reached the queue"}},
		"a job whose submission is in doubt": {runs: allRun, ask: "job 1",
			make: func(w *world) { w.unanswered(w.job(1)) },
			says: []string{"the queue manager's answer is not here", "Next: the jobpooler asks the queue manager for it by its name"}},
		"a job that is lost": {runs: allRun, ask: "job 1", make: func(w *world) { w.runSubmit(w.job(1), "node1") },
			says: []string{"is not known to the queue manager", "does not turn up within 1h (lost_after)"}},
		"a job that waits for its upload": {runs: "downloader jobpooler", ask: "job 1",
			make: func(w *world) { w.processed(w.job(1)) },
			says: []string{"its results wait for the uploader", "the uploader does not run", "Next: start the uploader"}},
		"a job in an outage of the common database": {runs: allRun, ask: "job 1",
			make: func(w *world) {
				w.processed(w.job(1))
				w.outage("uploader", pipeline.CommonDatabase, "no route to host")
			},
			says: []string{"the common database has not answered the uploader since", "no route to host"}},
		"a job that failed each time alike": {runs: allRun, ask: "job 1",
			make: func(w *world) {
				j := w.job(1)
				w.failJob(j, "exit status 1: boom", "", false)
				w.failJob(j, "exit status 1: boom", "", true)
			},
			says: []string{"it failed 2 times, first at", "with the same error: exit status 1: boom", "longhaul show submit 2", "longhaul retry-jobs 1"}},
		"a job whose raw data is gone": {runs: allRun, ask: "job 1",
			make: func(w *world) {
				w.failJob(w.job(1), "exit status 1", "", true)
				w.remove("1")
			},
			says: []string{"its raw data is deleted: file 1", "which makes a new job", "longhaul add-files PATH"}},
		"a job that is done": {runs: allRun, ask: "job 1", make: func(w *world) { w.upload(w.job(1)) },
			says: []string{"its results are in the common database since", "its raw data is deleted", "Next: nothing: the job is done"}},
		"a submit that is over": {runs: allRun, ask: "submit 1",
			make: func(w *world) { w.failJob(w.job(1), "exit status 9", "", false) },
			says: []string{"exit status 9", "its job, 1, is retrying", "longhaul explain job 1"}},
		"a submit in the queue": {runs: allRun, ask: "submit 1", make: func(w *world) { w.submit(w.job(1)) },
			says: []string{"submit 1, queue ID longhaul-1-aaaaaaaa, is not known to the queue manager"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.settings)
			c.make(w)
			w.daemonRuns(strings.Fields(c.runs)...)
			page := w.ok("explain", strings.Fields(c.ask)[0], strings.Fields(c.ask)[1])
			flat := strings.Join(strings.Fields(page), " ")
			for _, want := range append(c.says, "Next: ") {
				if !strings.Contains(flat, want) {
					t.Errorf("not told %q:\n%s", want, page)
				}
			}
		})
	}
}

func TestExplainAsksTheArchiveAboutARequest(t *testing.T) {
	t.Parallel()
	word := make(chan string, 1)
	service, err := archivetest.NewRestoreService(archivetest.RestoreServiceOptions{
		Username: "mcgill", Password: "secret",
		Restore:  func(int, int, string) (string, bool) { return "", false },
		Location: func(string) string { return <-word },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := service.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newWorld(t, settings{"api_service_url": `"` + service.URL() + `"`})
	w.daemonRuns("downloader")
	id := must(w.store.BeginRequest(t.Context(), 5, 4, "mock"))(w)
	w.check(w.store.NameRequest(t.Context(), id, "the-guid"))
	for answer, want := range map[string]string{
		"queued for tape": `the archive says "queued for tape": its files are not on the file server yet`,
		"done":            `the archive says "done": its files are ready`,
	} {
		word <- answer
		if out := strings.Join(strings.Fields(w.ok("explain", "request", "1")), " "); !strings.Contains(out, want) {
			t.Errorf("asked, it answers %q: %s", answer, out)
		}
	}
}
