package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/worker"
)

// mostUnread is how many error logs in a row may fail to come before a pass
// asks for no more.
const mostUnread = 5

// errorLog returns the end of a submit's error log. A queue manager that has
// forgotten the submit is no obstacle: we said where its log goes.
func (p *Pooler) errorLog(ctx context.Context, sub pipeline.Submit) (string, error) {
	if sub.QueueID != "" && p.ours(sub) {
		if p.unread >= mostUnread {
			return "", pipeline.Outage(pipeline.QueueManager, errors.New("error log not asked for, since others did not come"))
		}
		log, err := p.Manager.Errors(ctx, sub.QueueID)
		if err == nil {
			p.unread = 0
			return log, nil
		} else if !errors.Is(err, queue.ErrUnknown) {
			p.unread++
			return "", unanswered(err)
		}
	}
	log, err := queue.Tail(StderrPath(p.Config, sub.Name))
	return log, pipeline.Outage(pipeline.LocalDisk, err)
}

// describe says why a job ended, in a few words.
func describe(st queue.State) string {
	s := string(st.Reason)
	if st.Reason == queue.Exited {
		s = fmt.Sprintf("exit status %d", st.ExitCode)
	}
	return strings.TrimSpace(s + " " + bracket(oneLine(st.Detail)))
}

// ofSite reports whether a worker says that the site is to blame for its end.
func ofSite(st queue.State) bool { return st.Reason == queue.Exited && worker.SiteFault(st.ExitCode) }

func bracket(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

// quoteLast returns the line of an error log that tells most, after a colon.
func quoteLast(log string, st queue.State) string {
	if line := lastLine(log, st); line != "" {
		return ": " + line
	}
	return ""
}

// lastLine returns the last line of an error log that says something. The
// worker's own comes last; unless the trouble was the worker's, it only repeats
// how the command ended, and the command's line tells more.
func lastLine(log string, st queue.State) string {
	workers := st.Reason == queue.Exited && worker.Own(st.ExitCode)
	last := ""
	for line := range strings.Lines(log) {
		line = oneLine(line)
		if line != "" && (last == "" || workers || !strings.HasPrefix(line, "worker on ")) {
			last = line
		}
	}
	return last
}

// mostBytes is how much of a line is kept in a job's details.
const mostBytes = 300

// oneLine makes a short, printable line of what others wrote.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s) // bytes that are not UTF-8 become U+FFFD
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= mostBytes {
		return s
	}
	cut := mostBytes
	for cut > 0 && s[cut]&0xc0 == 0x80 { // within a character
		cut--
	}
	return s[:cut] + "…"
}
