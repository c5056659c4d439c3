package version_test

import (
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"longhaul/internal/version"
)

func TestProgramIsTheSameEachTimeAndSaysSomething(t *testing.T) {
	t.Parallel()
	got := version.Program()
	// A test binary has no revision: its digest stands for it.
	if got != version.Program() || !regexp.MustCompile(`^(sha256-)?[0-9a-f]{16,40}(\+dirty)?$`).MatchString(got) {
		t.Errorf("Program() = %q", got)
	}
}

// git runs git in a directory and returns what it says.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@b.invalid"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

func TestGitIsTheCommitThatIsCheckedOut(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, other} {
		git(t, d, "init", "-q")
		git(t, d, "commit", "-q", "--allow-empty", "-m", d)
	}
	want := git(t, dir, "rev-parse", "HEAD")
	// As a hook of another repository would have it.
	t.Setenv("GIT_DIR", other+"/.git")
	if got, err := version.Git(t.Context(), dir); got != want || err != nil {
		t.Errorf("Git(%s) = %q, %v; want %s", dir, got, err, want)
	}
}

func TestGitSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := version.Git(t.Context(), dir)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "not a git repository") {
		t.Errorf("%v, want git's own words about %s", err, dir)
	}
}
