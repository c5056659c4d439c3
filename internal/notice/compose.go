package notice

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"longhaul/internal/pipeline"
)

const (
	maxBody    = 64 << 10 // bytes of a mail's text
	maxSubject = 180      // characters
	inDigest   = 20       // notices that a digest shows
	linesEach  = 6        // lines of each of them
	maxLine    = 200      // characters of such a line
)

// timeFormat is how times are written for people, always UTC.
const timeFormat = "2006-01-02 15:04:05 UTC"

// kind is what a digest says of one kind of notice.
type kind struct {
	urgency int    // 0 is the most urgent
	words   string // in the subject
	says    string // in the text: "N notices say that …"
	command string // shows all of them
}

// kindOf describes a kind of notice, also one that is not known here.
func kindOf(k pipeline.NoticeKind) kind {
	switch k {
	case pipeline.NoticeCrash:
		return kind{0, "daemon ended with an error", "a daemon ended with an error", "longhaul status"}
	case pipeline.NoticeOutage:
		return kind{1, "outage", "an outside system does not answer", "longhaul status"}
	case pipeline.NoticePause:
		return kind{1, "pause of submissions", "submissions were paused or go on", "longhaul status"}
	case pipeline.NoticeTerminalFailure:
		return kind{2, "given up", "a job or file was given up", "longhaul failures --full"}
	case pipeline.NoticeRequestFailed:
		return kind{3, "request to the archive failed", "a request to the archive was given up", "longhaul list requests"}
	case pipeline.NoticeFailure:
		return kind{4, "failed, will be tried again", "a job or file failed and will be tried again", "longhaul failures --full"}
	}
	return kind{5, string(k), "there is news of the kind " + string(k), "longhaul status"}
}

func urgency(k pipeline.NoticeKind) int    { return kindOf(k).urgency }
func command(k pipeline.NoticeKind) string { return kindOf(k).command }

// text composes the mail for notices of one kind: a single one in its own
// words, several as a digest.
func (m *Mailer) text(p pipeline.PendingNotices) pipeline.Mail {
	now := m.now().UTC()
	mail := pipeline.Mail{Kind: p.Kind, Count: p.Count, CreatedAt: now}
	if p.Count == 1 && len(p.First) == 1 {
		mail.Subject, mail.Body = p.First[0].Subject, p.First[0].Body
	} else {
		mail.Subject, mail.Body = digest(p, now)
	}
	mail.Subject = subject(m.policy.Prefix + " " + mail.Subject)
	mail.Body = body(mail.Body)
	return mail
}

// digest is the subject and text of one mail about many notices.
func digest(p pipeline.PendingNotices, now time.Time) (subj, text string) {
	k := kindOf(p.Kind)
	first := p.First[:min(len(p.First), inDigest)]
	subj = fmt.Sprintf("%d notices: %s", p.Count, k.words)
	if len(first) > 0 {
		subj += fmt.Sprintf(" (first: %s)", first[0].Subject)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Between %s and %s,\n%d notices say that %s.\n",
		p.Oldest.UTC().Format(timeFormat), now.Format(timeFormat), p.Count, k.says)
	if len(first) < p.Count {
		fmt.Fprintf(&b, "The first %d of them:\n", len(first))
	}
	for i, n := range first {
		fmt.Fprintf(&b, "\n%d. %s\n", i+1, subject(n.Subject))
		for _, line := range beginning(n.Body) {
			fmt.Fprintf(&b, "   %s\n", line)
		}
	}
	if more := p.Count - len(first); more > 0 {
		fmt.Fprintf(&b, "\nand %d more.\n", more)
	}
	fmt.Fprintf(&b, "\nTo see all of them in full: %s\n", k.command)
	return subj, b.String()
}

// beginning is the first few lines of a notice that say something.
func beginning(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if len(lines) == linesEach {
			return append(lines, "…")
		}
		lines = append(lines, cutRunes(line, maxLine))
	}
	return lines
}

// subject makes one line of limited length of s.
func subject(s string) string { return cutRunes(oneLine(s), maxSubject) }

// oneLine makes one line of s: what ends a line, and all else that does not
// print, becomes a space, so that a file's name cannot add a header.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

// body makes plain text of s that any mail server takes: UTF-8, lines ending
// in "\n", no control characters, of limited length.
func body(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r':
			return '\n' // a progress bar's way of starting over
		case unicode.IsControl(r):
			return '\uFFFD'
		}
		return r
	}, s)
	if len(s) <= maxBody {
		return s
	}
	const note = "\n[the rest is left out: %d bytes]\n"
	cut := maxBody - len(note) - 10
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + fmt.Sprintf(note, len(s)-cut)
}

// cutRunes shortens s to at most n characters.
func cutRunes(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
