package batch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"longhaul/internal/disk"
	"longhaul/internal/queue"
)

// ExecMode is for WriteScript where the batch system runs the file itself
// instead of a copy that it keeps.
const ExecMode os.FileMode = 0o750

// Script returns a script for /bin/sh that becomes the command of spec, in the
// environment that it finds plus that of spec. Directives are its first lines,
// such as "#SBATCH --job-name=x".
//
// Every word of spec arrives byte for byte. It stands between single quotes on
// one line of the script: batch systems look for directives in all lines, and a
// word with a line end could otherwise bring one of its own. The environment is
// given to env(1), not to the shell, which would refuse some names (a.b) and has
// its own idea of others (UID, IFS).
func Script(spec queue.Spec, directives []string) ([]byte, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("#!/bin/sh\n")
	for _, d := range directives {
		if strings.ContainsAny(d, "\n\r\x00") || !strings.HasPrefix(d, "#") {
			return nil, fmt.Errorf("%w: %s: %q is no directive of one line", queue.ErrRejected, spec.Name, d)
		}
		b.WriteString(d + "\n")
	}
	// A line end cannot be written on one line, so it becomes $1.
	b.WriteString("set -- \"$(printf '\\nx')\"\nset -- \"${1%x}\"\n")
	b.WriteString("exec /usr/bin/env --")
	word := func(s string) { b.WriteString(" \\\n  " + quote(s)) }
	for _, key := range slices.Sorted(maps.Keys(spec.Env)) {
		word(key + "=" + spec.Env[key])
	}
	if strings.Contains(spec.Command[0], "=") { // env would take it for a variable
		word("/bin/sh")
		word("-c")
		word(`exec "$@"`)
		word("sh")
	}
	for _, arg := range spec.Command {
		word(arg)
	}
	b.WriteString("\n")
	return b.Bytes(), nil
}

// quote makes one word of the shell of s, on one line; "$1" is a line end.
func quote(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "\n", `'"$1"'`).Replace(s) + "'"
}

// ScriptPath is where WriteScript puts the script of a submission.
func ScriptPath(dir, name string) string { return filepath.Join(dir, name+".sh") }

// WriteScript writes the Script of spec to ScriptPath in dir, whole and
// durably. The job also learns from RecordVar where to leave its Record. A mode
// of 0 is for scripts that the batch system reads when it is given them.
func WriteScript(dir string, spec queue.Spec, directives []string, mode os.FileMode) (path string, err error) {
	env := maps.Clone(spec.Env)
	if env == nil {
		env = make(map[string]string)
	}
	env[RecordVar] = RecordPath(dir, spec.Name)
	spec.Env = env
	text, err := Script(spec, directives)
	if err != nil {
		return "", err
	}
	path = ScriptPath(dir, spec.Name)
	err = disk.WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err == nil && mode != 0 {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		return "", fmt.Errorf("script of %s: %w", spec.Name, err)
	}
	return path, nil
}

// Remove removes what is kept about a submission in dir: its script and its
// Record. What is not there is no error.
func Remove(dir, name string) error {
	if !queue.ValidName(name) {
		return fmt.Errorf("remove: %q is no name of a submission", name)
	}
	var errs []error
	for _, path := range []string{ScriptPath(dir, name), RecordPath(dir, name)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
