package batch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"longhaul/internal/disk"
	"longhaul/internal/queue"
)

// RecordVar is the environment variable that tells a job where to leave its Record.
const RecordVar = "LONGHAUL_EXIT_RECORD"

// maxRecord is how large a Record may be, in bytes.
const maxRecord = 64 << 10

// ErrDamaged: a record is there but makes no sense.
var ErrDamaged = errors.New("damaged record")

// Record is how a job ended, in its own words. Batch systems forget what has
// ended, and some never knew it right; what the worker wrote stays.
type Record struct {
	Name      string    `json:"name"`             // of the submission
	ExitCode  int       `json:"exit_code"`        // 128 + Signal if a signal ended it
	Signal    int       `json:"signal,omitempty"` // 0: none
	Node      string    `json:"node"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
}

// RecordPath is where the Record of a submission is, in the directory that
// WriteScript was given.
func RecordPath(dir, name string) string { return filepath.Join(dir, name+".exit.json") }

// Write leaves the record at path, wholly or not at all, and durably.
func (r Record) Write(path string) error {
	r.StartedAt, r.EndedAt = r.StartedAt.UTC(), r.EndedAt.UTC()
	return disk.WriteFile(path, func(w io.Writer) error { return json.NewEncoder(w).Encode(r) })
}

// ReadRecord returns the record of a submission. A missing one is
// fs.ErrNotExist, one that is damaged or another's is ErrDamaged.
func ReadRecord(dir, name string) (Record, error) {
	if !queue.ValidName(name) {
		return Record{}, fmt.Errorf("read record: %q is no name of a submission", name)
	}
	path := RecordPath(dir, name)
	// Without O_NONBLOCK a FIFO there would hold us for ever; a link is not the worker's.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return Record{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err != nil {
		return Record{}, err
	}
	r, err := parseRecord(text)
	if err == nil && r.Name != name {
		err = fmt.Errorf("%w: it is that of %q", ErrDamaged, r.Name)
	}
	if err != nil {
		return Record{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func parseRecord(text []byte) (Record, error) {
	var r Record
	if len(text) > maxRecord {
		return r, fmt.Errorf("%w: more than %d bytes", ErrDamaged, maxRecord)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	switch {
	case r.EndedAt.IsZero(), r.ExitCode < 0, r.ExitCode > 255, r.Signal < 0, r.Signal > 127:
		return r, fmt.Errorf("%w: exit code %d, signal %d, ended %s", ErrDamaged, r.ExitCode, r.Signal, r.EndedAt)
	case r.Signal != 0 && r.ExitCode != 128+r.Signal:
		return r, fmt.Errorf("%w: exit code %d with signal %d", ErrDamaged, r.ExitCode, r.Signal)
	}
	return r, nil
}

// State is what the record says about the submission.
func (r Record) State() queue.State {
	s := queue.State{
		Phase: queue.Finished, Reason: queue.Exited, ExitCode: r.ExitCode,
		Node: r.Node, StartedAt: r.StartedAt, EndedAt: r.EndedAt,
	}
	if r.Signal != 0 {
		s.Reason = queue.Signaled
	}
	return s
}
