// Package version says which software made something: this program, and the
// programs around it whose source is under git.
package version

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Program returns the revision of the running program: the commit it was built
// from, with "+dirty" if the source had changes; the version of a released
// module; or, for a build that carries neither, "sha256-" and the beginning of
// the digest of the program file, which still tells two programs apart.
func Program() string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		if rev := revision(info); rev != "" {
			return rev
		}
		if v := info.Main.Version; v != "" && v != "(devel)" {
			return v
		}
	}
	return digestOfProgram()
}

func revision(info *debug.BuildInfo) string {
	var rev, dirty string
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			rev = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+dirty"
			}
		}
	}
	if rev == "" {
		return ""
	}
	return rev + dirty
}

func digestOfProgram() string {
	// Not os.Executable: a new version may have taken that name meanwhile.
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "unknown"
	}
	return "sha256-" + hex.EncodeToString(h.Sum(nil))[:16]
}

// gitTimeout is how long one question to git may take.
const gitTimeout = 10 * time.Second

// Git returns the commit that is checked out in a directory.
func Git(ctx context.Context, dir string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, gitTimeout)
	defer cancel()
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, "git", "-C", dir, "rev-parse", "--verify", "HEAD")
	cmd.Stderr = &stderr
	cmd.Env = withoutGit(os.Environ())
	cmd.WaitDelay = time.Second // for what git left running
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git rev-parse in %s: %w: %s", dir, err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// withoutGit drops the variables by which a caller such as a git hook would
// point git at another repository than the directory's own.
func withoutGit(environ []string) []string {
	return slices.DeleteFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, "GIT_") })
}
