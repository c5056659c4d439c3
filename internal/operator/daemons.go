package operator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"longhaul/internal/site"
)

// The daemons, by the names under which they change the job-tracker.
const (
	downloader = "downloader"
	jobpooler  = "jobpooler"
	uploader   = "uploader"
)

func daemonKinds() []string { return []string{downloader, jobpooler, uploader} }

// DaemonState says whether a daemon runs.
type DaemonState string

// The states of a daemon.
const (
	DaemonRuns    DaemonState = "running"
	DaemonStopped DaemonState = "not running"
	DaemonUnknown DaemonState = "unknown"
)

// Daemon is one of the three daemons.
type Daemon struct {
	Name       string      `json:"name"`
	State      DaemonState `json:"state"`
	PID        int         `json:"pid,omitempty"`
	Where      string      `json:"where,omitempty"`      // what its session with the job-tracker's server calls itself
	LastChange time.Time   `json:"last_change,omitzero"` // that it made in the job-tracker, of late
}

// looks is how often the kernel's list of locks is read before a daemon whose
// process is alive is said not to run. A long list is read in several parts, and
// a lock can slip from one to the other while locks come and go.
const looks = 5

// Daemon looks whether a daemon runs. It only reads: taking a daemon's lock for
// a moment, to see if that is possible, would turn away one that starts just then.
func (o *Operator) Daemon(name string) Daemon {
	if o.Config.Background.OnServer() {
		return o.daemonAnywhere(name)
	}
	path := site.LockPath(o.Config, name)
	var d Daemon
	for range looks {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			return Daemon{Name: name, State: DaemonUnknown}
		}
		if d = lockHolder(name, path, string(locks)); d.State != DaemonStopped || !noterAlive(path) {
			break
		}
	}
	return d
}

// askTimeout bounds the question to the job-tracker's server who has a lock.
const askTimeout = 10 * time.Second

// daemonAnywhere looks whether a daemon runs on any host.
func (o *Operator) daemonAnywhere(name string) Daemon {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	d := Daemon{Name: name, State: DaemonUnknown}
	who, held, err := o.Store.Holder(ctx, name)
	switch {
	case err != nil:
	case held:
		d.State, d.Where = DaemonRuns, who
	default:
		d.State = DaemonStopped
	}
	return d
}

// noterAlive reports whether there is a process of the number that the last
// holder of a lock wrote into its file. It may be another one by now.
func noterAlive(path string) bool {
	noted, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(noted)))
	return err == nil && pid > 0 && !errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}

// lockHolder finds the holder of a lock file among the kernel's list of locks.
func lockHolder(name, path, locks string) Daemon {
	d := Daemon{Name: name, State: DaemonUnknown}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); errors.Is(err, fs.ErrNotExist) {
		d.State = DaemonStopped // it never ran
		return d
	} else if err != nil {
		return d
	}
	d.State = DaemonStopped
	noted, _ := os.ReadFile(path)
	device := fmt.Sprintf("%02x:%02x", unix.Major(st.Dev), unix.Minor(st.Dev))
	for line := range strings.Lines(locks) {
		// 2: FLOCK  ADVISORY  WRITE 11183 fe:00:9994267 0 EOF
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || f[3] != "WRITE" {
			continue
		}
		on, inode, ok := cutLast(f[5], ":")
		if !ok || inode != strconv.FormatUint(st.Ino, 10) {
			continue
		}
		// On some file systems, Btrfs and overlays among them, the kernel's
		// list names another device than stat; there the process decides.
		if on == device || f[4] == strings.TrimSpace(string(noted)) {
			d.State = DaemonRuns
			d.PID, _ = strconv.Atoi(f[4])
			return d
		}
	}
	return d
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// recentEvents is how far back the last change of a daemon is looked for.
const recentEvents = 2000

// daemons looks at all daemons, and when each last changed something.
func (o *Operator) daemons(ctx context.Context) ([]Daemon, error) {
	newest, err := o.Store.LastEvent(ctx)
	if err != nil {
		return nil, err
	}
	events, err := o.Store.EventsAfter(ctx, newest-recentEvents, recentEvents)
	if err != nil {
		return nil, err
	}
	last := make(map[string]time.Time)
	for _, e := range events {
		last[e.Actor] = e.At
	}
	var all []Daemon
	for _, kind := range daemonKinds() {
		d := o.Daemon(kind)
		d.LastChange = last[kind]
		all = append(all, d)
	}
	return all, nil
}

func systemctl(kind string) string { return "systemctl start longhaul-" + kind }

// startHint says how a daemon is started.
func startHint(kind string) string {
	return fmt.Sprintf("start the %s: %s (or: longhaul run %s)", kind, systemctl(kind), kind)
}
