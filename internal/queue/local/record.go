package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/queue"
)

// The names in a job's directory.
const (
	specFile    = "spec.json"
	lockFile    = "lock"
	startedFile = "started.json"
	cancelFile  = "cancel"
	exitFile    = "exit.json"
	logFile     = "supervisor.log"
)

// verbatim is a string of any bytes. JSON text is Unicode and would change the
// others, so they are written as in a Go string literal.
type verbatim string

// MarshalText writes v as the inside of a Go string literal.
func (v verbatim) MarshalText() ([]byte, error) {
	q := strconv.Quote(string(v))
	return []byte(q[1 : len(q)-1]), nil
}

// UnmarshalText is the inverse of MarshalText.
func (v *verbatim) UnmarshalText(text []byte) error {
	s, err := strconv.Unquote(`"` + string(text) + `"`)
	if err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	*v = verbatim(s)
	return nil
}

// verbatims are the words of a command.
func verbatims(words []string) []verbatim {
	out := make([]verbatim, len(words))
	for i, w := range words {
		out[i] = verbatim(w)
	}
	return out
}

// plain is the inverse of verbatims.
func plain(words []verbatim) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = string(w)
	}
	return out
}

// specRecord is spec.json: what was submitted, and when.
type specRecord struct {
	Name      string          `json:"name"`
	Submitted time.Time       `json:"submitted"`
	Command   []verbatim      `json:"command"`
	Env       []verbatim      `json:"env,omitempty"` // KEY=VALUE, sorted
	Stdout    verbatim        `json:"stdout"`
	Stderr    verbatim        `json:"stderr"`
	Resources queue.Resources `json:"resources"`
}

func newSpecRecord(s queue.Spec, at time.Time) specRecord {
	r := specRecord{
		Name: s.Name, Submitted: at.UTC(), Command: verbatims(s.Command),
		Stdout: verbatim(s.Stdout), Stderr: verbatim(s.Stderr), Resources: s.Resources,
	}
	for key, value := range s.Env {
		r.Env = append(r.Env, verbatim(key+"="+value))
	}
	slices.Sort(r.Env)
	return r
}

// sameJob reports whether both are the same work, submitted twice.
func (r specRecord) sameJob(o specRecord) bool {
	r.Submitted, o.Submitted = time.Time{}, time.Time{}
	return reflect.DeepEqual(r, o)
}

// startedRecord is started.json: who runs a job. It is on disk before the
// command begins.
type startedRecord struct {
	Supervisor process   `json:"supervisor"`
	Boot       string    `json:"boot"`
	Node       string    `json:"node"`
	At         time.Time `json:"at"`
}

// exitRecord is exit.json: how a job ended.
type exitRecord struct {
	Reason  queue.Reason `json:"reason"`
	Code    int          `json:"code"`
	Detail  string       `json:"detail,omitempty"`
	Node    string       `json:"node,omitempty"`
	Started time.Time    `json:"started,omitzero"`
	Ended   time.Time    `json:"ended"`
}

func (e exitRecord) state() queue.State {
	return queue.State{
		Phase: queue.Finished, Reason: e.Reason, ExitCode: e.Code, Detail: e.Detail,
		Node: e.Node, StartedAt: e.Started, EndedAt: e.Ended,
	}
}

// settings is settings.json: what supervisors must know to start further jobs
// while no job pooler runs.
type settings struct {
	MaxRunning int           `json:"max_running"`
	Supervisor []verbatim    `json:"supervisor"`
	Grace      time.Duration `json:"grace"`
}

// writeRecord writes a record wholly or not at all, and durably.
func writeRecord(dir, name string, record any) error {
	return disk.WriteFile(filepath.Join(dir, name), func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(record)
	})
}

// readRecord reads what writeRecord wrote. A missing one is fs.ErrNotExist,
// a damaged one errDamaged.
func readRecord[T any](dir, name string) (record T, err error) {
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	if err != nil {
		return record, err
	}
	if err := json.Unmarshal(text, &record); err != nil {
		return record, fmt.Errorf("%w: %s: %w", errDamaged, path, err)
	}
	return record, nil
}

// errDamaged: a record is there but makes no sense. Waiting does not help.
var errDamaged = errors.New("damaged record")

// has reports whether a job's directory holds a record. Not to know is an
// error, never a no: a job could be started twice for it.
func has(dir, name string) (bool, error) {
	_, err := os.Lstat(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
