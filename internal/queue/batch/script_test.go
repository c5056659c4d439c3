package batch

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"longhaul/internal/queue"
)

func spec(command ...string) queue.Spec {
	return queue.Spec{Name: "job-1", Command: command, Stdout: "/o", Stderr: "/e"}
}

// runScript returns what a script wrote, run by the real /bin/sh.
func runScript(t testing.TB, script []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, script, 0o640); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("/bin/sh", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %q from\n%s", err, out, script)
	}
	return string(out)
}

func TestAScriptReadsAsWritten(t *testing.T) {
	t.Parallel()
	s := spec("/bin/longhaul", "worker", "it's", "two\nlines")
	s.Env = map[string]string{"B": "2", "A": "1"}
	got, err := Script(s, []string{"#SBATCH --job-name=job-1"})
	want := `#!/bin/sh
#SBATCH --job-name=job-1
set -- "$(printf '\nx')"
set -- "${1%x}"
exec /usr/bin/env -- \
  'A=1' \
  'B=2' \
  '/bin/longhaul' \
  'worker' \
  'it'\''s' \
  'two'"$1"'lines'
`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

func TestAnyVariableArrives(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"A", "a.b", "-x", "--", "UID", "PPID", "IFS", "PATH", "é", "a b", "1", "$1"} {
		s := spec("/usr/bin/env", "-0")
		s.Env = map[string]string{name: "va\nlue"}
		script, err := Script(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		if out := runScript(t, script); !strings.Contains("\x00"+out, "\x00"+name+"=va\nlue\x00") {
			t.Errorf("%q did not arrive: %q", name, out)
		}
	}
}

func TestAProgramWithAnEqualsSignIsNoVariable(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "a=b")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"ran $1\"\n"), 0o750); err != nil {
		t.Fatal(err)
	}
	script, err := Script(spec(program, "x y"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if out := runScript(t, script); out != "ran x y\n" {
		t.Errorf("it said %q", out)
	}
}

func TestWhatNoScriptCanSayIsRejected(t *testing.T) {
	t.Parallel()
	for name, directive := range map[string]string{
		"two lines": "#$ -N a\n#$ -o /x", "a carriage return": "#$ a\r", "a NUL": "#$ \x00", "no comment": "rm -r x", "nothing": "",
	} {
		if _, err := Script(spec("true"), []string{directive}); !errors.Is(err, queue.ErrRejected) {
			t.Errorf("%s: %v, want ErrRejected", name, err)
		}
	}
	if _, err := Script(spec("a\x00b"), nil); !errors.Is(err, queue.ErrRejected) {
		t.Errorf("a NUL: %v, want ErrRejected", err)
	}
}

func TestWriteScript(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := spec("/bin/sh", "-c", `printf %s "$`+RecordVar+`"`)
	path, err := WriteScript(dir, s, nil, 0)
	if err != nil || path != filepath.Join(dir, "job-1.sh") {
		t.Fatal(path, err)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o640 {
		t.Errorf("mode %s", st.Mode())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := runScript(t, text); got != RecordPath(dir, "job-1") {
		t.Errorf("%s is %q", RecordVar, got)
	}
	if len(s.Env) != 0 {
		t.Error("the caller's environment was changed")
	}
	if path, err = WriteScript(dir, s, nil, ExecMode); err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o750 {
		t.Errorf("mode %s", st.Mode())
	}
	for range 2 {
		if err := Remove(dir, "job-1"); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if err := Remove(dir, "../job"); err == nil {
		t.Error("Remove left its directory")
	}
}

// FuzzScript: whatever the words are, they arrive, and no line of the script
// begins with anything of theirs.
func FuzzScript(f *testing.F) {
	for _, word := range []string{
		"", "plain", "it's", `"`, "$HOME `id` $(id) ${1}", `\`, `\n`, "a\nb", "\n", "\n\n#SBATCH --uid=0", "'\n'", "\r\n",
		"\xff\xfe", "größe ☃", "*?[a]~", "-n", "a=b", "=", "\x01\x7f", "!", ";|&<>()", "\t",
	} {
		f.Add(word, word)
		f.Add("x", word)
	}
	f.Fuzz(func(t *testing.T, arg, value string) {
		s := spec("/bin/sh", "-c", `printf '%s\0' "$1" "$V"`, "sh", arg)
		s.Env = map[string]string{"V": value}
		script, err := Script(s, nil)
		if strings.Contains(arg+value, "\x00") {
			if !errors.Is(err, queue.ErrRejected) {
				t.Fatalf("a NUL: %v", err)
			}
			return
		}
		if err != nil || len(arg)+len(value) > 60<<10 {
			t.Skip(err)
		}
		for line := range bytes.Lines(script) {
			if !bytes.HasPrefix(line, []byte("  ")) && !bytes.Contains([]byte("#!/bin/sh\nset -- \"$(printf '\\nx')\"\nset -- \"${1%x}\"\nexec /usr/bin/env -- \\\n"), line) {
				t.Errorf("a line of its own: %q", line)
			}
			if bytes.HasSuffix(line, []byte("\r\n")) {
				t.Errorf("a line end of DOS: %q", line)
			}
		}
		if got, want := runScript(t, script), arg+"\x00"+value+"\x00"; got != want {
			t.Errorf("arrived %q, sent %q", got, want)
		}
	})
}
