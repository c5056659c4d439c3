package demo

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"longhaul/internal/archive/archivetest"
	"longhaul/internal/disk"
)

const (
	apiUser, apiPassword = "demo", "demo-api-password"
	ftpUser, ftpPassword = "palfadata", "demo-ftp-password"
	// restoreTime is how long the archive takes to bring a request from tape.
	restoreTime = 400 * time.Millisecond
)

// remoteArchive is the archive of the demo: a restore service and a file
// server over a directory. What it has handed out survives its restart.
type remoteArchive struct {
	at      layout
	survey  survey
	ca      *archivetest.CA
	restore *archivetest.RestoreService
	ftp     *archivetest.FileServer

	mu    sync.Mutex
	state archiveState
}

// archiveState is what the archive must not forget.
type archiveState struct {
	Restores []*restoreState `json:"restores"`
}

type restoreState struct {
	GUID    string    `json:"guid"`
	Items   []int     `json:"items"` // indices into the survey
	At      time.Time `json:"at"`
	Claimed bool      `json:"claimed"` // somebody has asked for it: its answer was not lost
}

// startArchive writes the observations to tape, if they are not there, and
// starts the servers.
func startArchive(at layout, s survey) (_ *remoteArchive, err error) {
	a := &remoteArchive{at: at, survey: s}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if err := a.writeTape(); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(at.state())
	if err == nil {
		err = json.Unmarshal(text, &a.state)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if a.ca, err = archivetest.OpenCA(at.ca()); err != nil {
		return nil, err
	}
	a.ftp, err = archivetest.NewFileServer(archivetest.FileServerOptions{
		Root: at.served(), Username: ftpUser, Password: ftpPassword,
		CA: a.ca, RequireReuse: true, BytesPerSecond: 8 << 20, Fault: a.fault,
	})
	if err != nil {
		return nil, err
	}
	a.restore, err = archivetest.NewRestoreService(archivetest.RestoreServiceOptions{
		Username: apiUser, Password: apiPassword, Restore: a.restoreNext, Location: a.location,
	})
	return a, err
}

// Close stops the servers.
func (a *remoteArchive) Close() error {
	var errs []error
	if a.restore != nil {
		errs = append(errs, a.restore.Close())
	}
	if a.ftp != nil {
		errs = append(errs, a.ftp.Close())
	}
	return errors.Join(errs...)
}

// writeTape makes up the observations that are not there yet. A file appears
// on the tape only whole, so that a demo that was killed can be gone on with.
func (a *remoteArchive) writeTape() error {
	making, err := os.MkdirTemp(a.at.tape(), ".making-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(making)
	for _, it := range a.survey.items {
		if _, err := os.Stat(filepath.Join(a.at.tape(), it.files[len(it.files)-1])); err == nil {
			continue
		}
		if _, err := it.Write(making); err != nil {
			return fmt.Errorf("make up %s: %w", it.Source, err)
		}
		for _, name := range it.files {
			if err := os.Rename(filepath.Join(making, name), filepath.Join(a.at.tape(), name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// restoreNext brings the next observations from tape. Observations whose GUID
// nobody ever asked about are handed out under the same GUID again: the answer
// was lost.
func (a *remoteArchive) restoreNext(number, _ int, _ string) (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := 0
	for _, r := range a.state.Restores {
		if !r.Claimed {
			return r.GUID, true
		}
		next += len(r.Items)
	}
	if next >= len(a.survey.items) {
		return "fail: every observation has been restored", false
	}
	r := &restoreState{GUID: strings.ToLower(rand.Text()), At: time.Now()}
	for i := next; i < min(next+number, len(a.survey.items)); i++ {
		r.Items = append(r.Items, i)
	}
	if err := a.serve(r); err != nil {
		return "fail: " + err.Error(), false
	}
	a.state.Restores = append(a.state.Restores, r)
	if err := a.save(); err != nil {
		return "fail: " + err.Error(), false
	}
	return r.GUID, true
}

// serve lays the files of a request out for the file server, with their
// checksums and a file that nobody asked for.
func (a *remoteArchive) serve(r *restoreState) error {
	dir := filepath.Join(a.at.served(), r.GUID)
	if err := os.MkdirAll(dir, disk.DirMode); err != nil {
		return err
	}
	var sums strings.Builder
	for _, i := range r.Items {
		for _, name := range a.survey.items[i].files {
			from := filepath.Join(a.at.tape(), name)
			if err := os.Link(from, filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrExist) {
				return err
			}
			sum, err := sha256Of(from)
			if err != nil {
				return err
			}
			fmt.Fprintf(&sums, "%s  %s\n", sum, name)
		}
	}
	for name, text := range map[string]string{
		"SHA256SUMS": sums.String(), strayFile: "This directory is removed after a week.\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), disk.FileMode); err != nil {
			return err
		}
	}
	return nil
}

// strayFile lies in every directory of the file server and is of no product.
const strayFile = "README.txt"

func sha256Of(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

// save is called with the lock held.
func (a *remoteArchive) save() error {
	return disk.WriteFile(a.at.state(), func(w io.Writer) error { return json.NewEncoder(w).Encode(a.state) })
}

func (a *remoteArchive) location(guid string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.state.Restores {
		if r.GUID != guid {
			continue
		}
		if !r.Claimed {
			r.Claimed = true
			if err := a.save(); err != nil {
				return "fail: " + err.Error()
			}
		}
		if time.Since(r.At) < restoreTime {
			return "staging"
		}
		return "done"
	}
	return "unknown"
}

// fault makes the transfers go wrong that are to go wrong, each once.
func (a *remoteArchive) fault(file string, _ int64) archivetest.Fault {
	name := path.Base(file)
	for _, it := range a.survey.with(gone) {
		if it.files[0] == name {
			return archivetest.Fault{Action: archivetest.Missing}
		}
	}
	for _, d := range a.survey.damages {
		if d.file != name || !a.firstTime(name) {
			continue
		}
		st, err := os.Stat(filepath.Join(a.at.tape(), name))
		if err != nil {
			return archivetest.Fault{Action: archivetest.Drop}
		}
		if d.corrupt {
			return archivetest.Fault{Action: archivetest.Corrupt, After: st.Size() / 3}
		}
		return archivetest.Fault{Action: archivetest.Cut, After: st.Size() / 2, Abrupt: true}
	}
	return archivetest.Fault{}
}

// firstTime reports whether this is the first call for a name, over restarts.
func (a *remoteArchive) firstTime(name string) bool {
	f, err := os.OpenFile(filepath.Join(a.at.faults(), name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, disk.FileMode)
	if err != nil {
		return false
	}
	return f.Close() == nil
}
