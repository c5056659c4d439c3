package pool

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"longhaul/internal/queue"
)

// FuzzLastLine: whatever a job writes to its standard error, one short line that
// can be printed comes out.
func FuzzLastLine(f *testing.F) {
	f.Add("boom\n", 1)
	f.Add("reading\nno zaplist\nworker on node3: search ended with exit status 2\n", 2)
	f.Add("worker on node3: results: no space\n", 75)
	f.Add("\x1b[31m\xff\x00\r\u2028\n"+strings.Repeat("é", 400), 1)
	f.Add(strings.Repeat("a", 299)+"é", 1)
	f.Add("", 0)
	f.Fuzz(func(t *testing.T, log string, exit int) {
		line := lastLine(log, queue.State{Phase: queue.Finished, Reason: queue.Exited, ExitCode: exit})
		if len(line) > mostBytes+len("…") || !utf8.ValidString(line) || line != strings.TrimSpace(line) {
			t.Errorf("%q becomes %q", log, line)
		}
		if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q becomes %q, which has %q in it", log, line, line[i:])
		}
		if line == "" && strings.ContainsFunc(log, func(r rune) bool { return unicode.IsPrint(r) && r != ' ' }) {
			t.Errorf("of %q nothing is left", log)
		}
	})
}
