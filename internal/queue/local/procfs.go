package local

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// process is one line of the process table. The number alone is used again;
// with the time of its start it is unique until the next boot.
type process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot
}

// procStat is what we read of /proc/PID/stat.
type procStat struct {
	process
	parent int
	state  byte
}

// dead reports whether only the entry in the process table is left.
func (s procStat) dead() bool { return s.state == 'Z' || s.state == 'X' }

// statOf returns the entry of a process in the process table.
func statOf(pid int) (procStat, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(text)
}

// parseStat reads a line of proc(5): "PID (NAME) STATE PPID …", where NAME is
// the program's choice and may hold blanks, newlines and parentheses.
func parseStat(text []byte) (procStat, error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return procStat{}, fmt.Errorf("process table: no program name in %q", text)
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 20 {
		return procStat{}, fmt.Errorf("process table: %d fields after the name in %q, want 20", len(fields), text)
	}
	pid, err1 := strconv.Atoi(strings.TrimSpace(string(text[:open])))
	parent, err2 := strconv.Atoi(fields[1])
	start, err3 := strconv.ParseUint(fields[19], 10, 64)
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return procStat{}, fmt.Errorf("process table: %q: %w", text, err)
		}
	}
	return procStat{process{pid, start}, parent, fields[0][0]}, nil
}

// alive reports whether the process exists and has not ended.
func (p process) alive() bool {
	st, err := statOf(p.PID)
	return err == nil && st.Start == p.Start && !st.dead()
}

// signal sends a signal to this very process; one that is gone is no error.
func (p process) signal(sig syscall.Signal) {
	// The handle is on whoever has the number now. If that is p, the handle
	// means p whatever becomes of the number.
	handle, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return
	}
	defer unix.Close(handle)
	if p.alive() {
		unix.PidfdSendSignal(handle, sig, nil, 0) // fails if it has ended since: all the better
	}
}

// processes returns the process table without those that have ended.
func processes() ([]procStat, error) {
	names, err := readNames("/proc")
	if err != nil {
		return nil, err
	}
	var all []procStat
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue // not a process
		}
		if st, err := statOf(pid); err == nil && !st.dead() {
			all = append(all, st)
		}
	}
	return all, nil
}

// descendants returns the processes below those for which isRoot holds, and
// with them the roots themselves if withRoots is set.
func descendants(all []procStat, isRoot func(pid int) bool, withRoots bool) []process {
	below := make(map[int][]procStat)
	var next []procStat
	for _, p := range all {
		below[p.parent] = append(below[p.parent], p)
		if isRoot(p.PID) {
			next = append(next, p)
		}
	}
	var found []process
	seen := make(map[int]bool)
	for len(next) > 0 {
		p := next[0]
		next = next[1:]
		if seen[p.PID] {
			continue
		}
		seen[p.PID] = true
		if withRoots || !isRoot(p.PID) {
			found = append(found, p.process)
		}
		next = append(next, below[p.PID]...)
	}
	return found
}

// holdersOf returns the processes that were started with the file at commandFD.
func holdersOf(file os.FileInfo, all []procStat) map[int]bool {
	holders := make(map[int]bool)
	for _, p := range all {
		fd := filepath.Join("/proc", strconv.Itoa(p.PID), "fd", strconv.Itoa(commandFD))
		if st, err := os.Stat(fd); err == nil && os.SameFile(file, st) {
			holders[p.PID] = true
		}
	}
	return holders
}

// bootID names the time since the machine was started.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "" // equal to itself: reboots are then told as plain losses
	}
	return strings.TrimSpace(string(text))
}

// readNames returns the names in a directory, unsorted.
func readNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}
