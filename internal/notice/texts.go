package notice

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"longhaul/internal/loop"
	"longhaul/internal/pipeline"
)

const (
	logLines   = 20 // of an error log's end
	filesShown = 10 // input files that are named
)

// JobReport is what is known about a job that went wrong. What is zero is left
// out of the text.
type JobReport struct {
	Job         pipeline.Job
	Submit      pipeline.Submit // the last one; zero if it never was submitted
	Files       []pipeline.File // the job's input
	Reason      string          // the first error, one line
	ErrorLog    string          // last part of the job's error log
	LogPath     string          // where all of it is
	MaxAttempts int
	RetryAt     time.Time // JobFailure: not before this
	DataDeleted bool      // JobGivenUp: the raw data is deleted too
}

// JobFailure tells of a job that failed and will be tried again. r.Job.Attempts
// counts the attempt that failed.
func JobFailure(r JobReport) pipeline.Notice {
	next := fmt.Sprintf("attempt %d of %d", r.Job.Attempts+1, r.MaxAttempts)
	if !r.RetryAt.IsZero() {
		next += ", not before " + r.RetryAt.UTC().Format(timeFormat)
	}
	text := r.text("failed and will be tried again.", next+". Nothing needs to be done.")
	return notice(pipeline.NoticeFailure, text,
		"job %s failed, attempt %d of %d: %s", label(r.Job), r.Job.Attempts, r.MaxAttempts, r.Reason)
}

// JobGivenUp tells of a job that failed for the last time.
func JobGivenUp(r JobReport) pipeline.Notice {
	data := "Its raw data is kept."
	if r.DataDeleted {
		data = "Its raw data is deleted, as delete_rawdata_on_terminal_failure says."
	}
	after := times(r.Job.Attempts, "attempt")
	text := r.text("was given up after "+after+".",
		fmt.Sprintf("nothing, until somebody runs: longhaul retry-jobs %d\n%s", r.Job.ID, data))
	return notice(pipeline.NoticeTerminalFailure, text, "job %s given up after %s: %s", label(r.Job), after, r.Reason)
}

// text is the body of a notice about a job.
func (r JobReport) text(what, next string) string {
	var t text
	t.line("Job %s, of stage %s, %s", label(r.Job), r.Job.Stage, what)
	t.line("")
	t.field("What went wrong", r.Reason)
	t.field("What happens next", next)
	t.line("")
	if s := r.Submit; s.ID != 0 {
		t.field("Submit", fmt.Sprintf("%d, named %s", s.ID, s.Name))
		if s.QueueID != "" {
			t.field("Queue ID", fmt.Sprintf("%s in %s", s.QueueID, s.Manager))
		}
		t.field("Node", s.Node)
		t.time("Submitted", s.SubmittedAt)
		t.time("Started", s.StartedAt)
		t.time("Ended", s.EndedAt)
		t.field("Output", s.OutputDir)
	}
	t.field("Error log", r.LogPath)
	t.files(r.Files)
	t.log(r.ErrorLog)
	t.line("")
	t.line("Its whole history: longhaul show job %d", r.Job.ID)
	return t.String()
}

// FileReport is what is known about a file that could not be fetched.
type FileReport struct {
	File        pipeline.File // Attempts counts the one that failed
	Reason      string
	MaxAttempts int
}

// FileGivenUp tells of a file that will not be tried again.
func FileGivenUp(r FileReport) pipeline.Notice {
	after := times(r.File.Attempts, "attempt")
	text := r.text("was given up after "+after+".",
		fmt.Sprintf("nothing, and jobs that need the file wait for it, until somebody runs one of\n"+
			"longhaul retry-files %d\nlonghaul remove-files %d", r.File.ID, r.File.ID))
	return notice(pipeline.NoticeTerminalFailure, text,
		"download of %s given up after %s: %s", r.File.Filename, after, r.Reason)
}

// text is the body of a notice about a file.
func (r FileReport) text(what, next string) string {
	var t text
	t.line("File %d, %s, %s", r.File.ID, oneLine(r.File.Filename), what)
	t.line("")
	t.field("What went wrong", r.Reason)
	t.field("What happens next", next)
	t.line("")
	t.field("On the server", r.File.RemoteFilename)
	t.field("Here", r.File.Path)
	t.field("Size", fmt.Sprintf("%d bytes, of which %d are here", r.File.Size, r.File.Bytes))
	if r.File.RequestID != 0 {
		t.field("Request", fmt.Sprint(r.File.RequestID))
	}
	t.line("")
	t.line("Its whole history: longhaul show file %d", r.File.ID)
	return t.String()
}

// RequestFailed tells of a request that the archive did not fulfil.
func RequestFailed(r pipeline.Request, reason string) pipeline.Notice {
	var t text
	t.line("Request %d to the archive was given up.", r.ID)
	t.line("")
	t.field("What went wrong", reason)
	t.field("What happens next", "a new request is made as soon as there is room for its data.\n"+
		"If requests go on failing, ask the archive's people, and name the GUID.")
	t.line("")
	t.field("GUID", r.GUID)
	t.field("Asked for", fmt.Sprintf("%d observations, %d bits, type %s", r.Number, r.Numbits, r.Datatype))
	t.time("Made", r.CreatedAt)
	t.line("")
	t.line("Its whole history: longhaul show request %d", r.ID)
	return notice(pipeline.NoticeRequestFailed, t.String(), "request %d to the archive failed: %s", r.ID, reason)
}

// Outage tells of an outside system that does not answer.
func Outage(system pipeline.System, err error, since time.Time) pipeline.Notice {
	var t text
	t.line("The %s does not answer.", system)
	t.line("")
	t.time("Since", since)
	t.field("What it said", err.Error())
	t.field("What happens next", "it is asked again and again, less and less often.\n"+
		"Nothing is marked as failed and no attempt is used up;\nwork goes on by itself when it is back.")
	t.line("")
	t.line("How things stand: longhaul status")
	t.line("To test it: longhaul preflight")
	return notice(pipeline.NoticeOutage, t.String(), "outage: the %s does not answer", system)
}

// PauseReport is what is known when the breaker pauses submissions.
type PauseReport struct {
	Reason   string
	Last     pipeline.Submit // that failed
	Failures int             // in a row
	ProbeAt  time.Time       // of the first probe
	At       time.Time
}

// Paused tells that the breaker has paused submissions.
func Paused(r PauseReport) pipeline.Notice {
	var t text
	t.line("Submissions are paused: too many submits have failed in a row.")
	t.line("")
	t.time("Since", r.At)
	t.field("What went wrong", r.Reason)
	t.field("What happens next", "these failures do not count; no job loses an attempt by them.\n"+
		"Single jobs are tried, the first not before "+r.ProbeAt.UTC().Format(timeFormat)+",\n"+
		"then less and less often. When one goes well, all go on.")
	t.field("What you can do", "mend the cause, a broken node perhaps, and run:\nlonghaul resume submissions")
	t.line("")
	t.field("Last submit", fmt.Sprintf("%d, named %s", r.Last.ID, r.Last.Name))
	t.field("Node", r.Last.Node)
	t.line("")
	t.line("How things stand: longhaul status")
	t.line("What failed, and how: longhaul failures --full")
	return notice(pipeline.NoticePause, t.String(), "submissions are paused: the last %d submits failed in a row", r.Failures)
}

// GoOn tells that a probe went well, so that the breaker's pause is over.
func GoOn(p pipeline.Pause, probe pipeline.Submit, after time.Duration, at time.Time) pipeline.Notice {
	var t text
	t.line("Submissions go on, after %s.", after)
	t.line("")
	t.time("Paused", p.Since)
	t.time("Resumed", at)
	t.field("Why they paused", p.Reason)
	t.field("Why they go on", fmt.Sprintf("submit %d of job %d went well; it was probe %d.", probe.ID, probe.JobID, p.Probes))
	t.line("")
	t.line("How things stand: longhaul status")
	return notice(pipeline.NoticePause, t.String(), "submissions go on after %s", after)
}

// WorkersDisk tells of a disk in trouble that a worker met on its node.
func WorkersDisk(j pipeline.Job, sub pipeline.Submit, node, reason string, at time.Time) pipeline.Notice {
	var t text
	t.line("A worker found a disk full, or in trouble.")
	t.line("")
	t.time("When", at)
	t.field("What it said", reason)
	t.field("Node", node)
	t.field("Job", label(j))
	t.field("Submit", fmt.Sprintf("%d, named %s", sub.ID, sub.Name))
	t.field("What happens next", "the job is submitted again by itself, after a wait that grows.\n"+
		"It does not lose an attempt. Other jobs that meet the same\nare not told of one by one.")
	t.field("What you can do", "make room, or mend the disk of the node.")
	t.line("")
	t.line("Which jobs wait for it: longhaul status")
	return notice(pipeline.NoticeOutage, t.String(), "outage: a worker met a disk in trouble: %s", reason)
}

// Crash tells of a daemon that ends with an error.
func Crash(daemon string, err error, at time.Time) pipeline.Notice {
	var t text
	t.line("The %s ended with an error.", daemon)
	t.line("")
	t.time("When", at)
	t.field("Why", err.Error())
	t.field("What happens next", "if it runs under systemd it is started again, and goes on where it was.\n"+
		"Otherwise somebody must start it.")
	if p, ok := errors.AsType[*loop.PanicError](err); ok {
		t.line("")
		t.line("This is a mistake in Longhaul. The stack, for those who mend it:")
		t.line("")
		t.line("%s", p.Stack)
	}
	return notice(pipeline.NoticeCrash, t.String(), "%s ended: %v", daemon, err)
}

// notice builds a notice: the subject is made fit for one line, and the gaps
// closed that fields without a value left in the body.
func notice(kind pipeline.NoticeKind, body, format string, args ...any) pipeline.Notice {
	body = strings.ReplaceAll(body, "\n\n\n", "\n\n")
	return pipeline.Notice{Kind: kind, Subject: subject(fmt.Sprintf(format, args...)), Body: body}
}

// Test is a mail that shows that mail works; it is not written to the outbox.
func Test(prefix, host string, at time.Time) pipeline.Mail {
	return pipeline.Mail{
		Subject:   subject(prefix + " test mail"),
		Body:      fmt.Sprintf("Mail from Longhaul on %s works.\n\nNothing needs to be done.\n", host),
		CreatedAt: at.UTC(),
	}
}

// label is a job's number and name.
func label(j pipeline.Job) string {
	if j.Name == "" {
		return fmt.Sprint(j.ID)
	}
	return fmt.Sprintf("%d (%s)", j.ID, oneLine(j.Name))
}

func times(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// text is a body in the making.
type text struct{ strings.Builder }

func (t *text) line(format string, args ...any) {
	fmt.Fprintf(t, format, args...)
	t.WriteByte('\n')
}

// field writes a name and its value, if there is one; further lines of the
// value are set below it.
func (t *text) field(name, value string) {
	if value == "" {
		return
	}
	value = strings.ReplaceAll(strings.TrimSpace(value), "\n", "\n"+strings.Repeat(" ", 19))
	t.line("%-18s %s", name+":", value)
}

func (t *text) time(name string, at time.Time) {
	if !at.IsZero() {
		t.field(name, at.UTC().Format(timeFormat))
	}
}

// files names the input files of a job.
func (t *text) files(files []pipeline.File) {
	if len(files) == 0 {
		return
	}
	t.line("Input, %s:", times(len(files), "file"))
	for i, f := range files {
		if i == filesShown {
			t.line("  and %d more", len(files)-i)
			return
		}
		t.line("  %s (%d bytes)", oneLine(f.Path), f.Size)
	}
}

// log quotes the end of an error log.
func (t *text) log(log string) {
	log = strings.TrimRight(body(log), " \t\n")
	if log == "" {
		return
	}
	lines := strings.Split(log, "\n")
	lines = lines[max(len(lines)-logLines, 0):]
	t.line("")
	t.line("The end of the error log:")
	for _, line := range lines {
		t.line("  | %s", cutRunes(line, 4*maxLine))
	}
}
