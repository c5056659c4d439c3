//go:build crashpoints

package crashpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// The environment of a build that can kill itself.
const (
	atVar   = "CRASH_AT"   // KIND:K:POINT: the daemon KIND dies at its K-th side effect of that kind
	onceVar = "CRASH_ONCE" // a file that is made when it dies; while it is there nobody dies
	logVar  = "CRASH_LOG"  // a file to which KIND and POINT are appended for each side effect
)

// state is global since a side effect is anywhere; only this build has it.
var state struct {
	sync.Mutex
	kind string
	at   Point
	left int // side effects of that kind until death; 0: never
}

// Arm tells which daemon this process is, and reads when it is to die.
func Arm(kind string) {
	state.Lock()
	defer state.Unlock()
	state.kind = kind
	who, rest, _ := strings.Cut(os.Getenv(atVar), ":")
	k, at, _ := strings.Cut(rest, ":")
	if _, err := os.Stat(os.Getenv(onceVar)); err == nil || who != kind {
		return
	}
	state.at = Point(at)
	state.left, _ = strconv.Atoi(k)
}

// Reach counts a side effect, and kills the process if it is the one.
func Reach(p Point) {
	state.Lock()
	defer state.Unlock()
	if state.kind == "" {
		return
	}
	if path := os.Getenv(logVar); path != "" {
		if f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640); err == nil {
			fmt.Fprintf(f, "%s\t%s\n", state.kind, p)
			f.Close()
		}
	}
	if state.left == 0 || p != state.at {
		return
	}
	if state.left--; state.left > 0 {
		return
	}
	if f, err := os.OpenFile(os.Getenv(onceVar), os.O_CREATE|os.O_WRONLY, 0o640); err == nil {
		fmt.Fprintf(f, "%s\t%s\n", state.kind, p)
		f.Close()
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // until the signal arrives
}
