package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"longhaul/internal/crashpoint"
)

// The table of side effects in the documents is that of the code.
func TestTheDocumentsListEverySideEffect(t *testing.T) {
	t.Parallel()
	text := manualPage(t, "reliability.md")
	var want strings.Builder
	for _, e := range crashpoint.All() {
		fmt.Fprintf(&want, "| %s | %s | %s |\n", e.Point, e.Daemon, e.Settled)
	}
	if !strings.Contains(text, want.String()) {
		t.Errorf("docs/reliability.md lacks this table:\n%s", want.String())
	}
}

// Every side effect that is listed is reached somewhere, and every one that is
// reached is listed.
func TestEverySideEffectIsReached(t *testing.T) {
	t.Parallel()
	declared := make(map[string]string) // constant → point
	source, err := os.ReadFile(filepath.Join(moduleRoot, "internal", "crashpoint", "crashpoint.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\t(\w+)\s+Point = "([^"]+)"`).FindAllStringSubmatch(string(source), -1) {
		declared[m[1]] = m[2]
	}
	listed := make(map[string]bool)
	for _, e := range crashpoint.All() {
		listed[string(e.Point)] = true
	}
	if len(declared) == 0 || len(declared) != len(listed) {
		t.Errorf("%d side effects are declared, %d are listed", len(declared), len(listed))
	}
	reached := make(map[string]bool)
	for _, source := range goSources(t, "internal") {
		for _, m := range regexp.MustCompile(`crashpoint\.Reach\(crashpoint\.(\w+)\)`).FindAllStringSubmatch(source, -1) {
			reached[m[1]] = true
		}
	}
	for name, point := range declared {
		if !listed[point] {
			t.Errorf("crashpoint.All lacks %s", name)
		}
		if !reached[name] {
			t.Errorf("nobody calls crashpoint.Reach(crashpoint.%s)", name)
		}
	}
}

// Every test that the page names exists.
func TestTheTestsOfFaultsExist(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, source := range goSources(t, "internal", "tests") {
		all.WriteString(source)
	}
	named := regexp.MustCompile("`(Test[A-Z]\\w+)`").FindAllStringSubmatch(manualPage(t, "reliability.md"), -1)
	for _, name := range named {
		if !strings.Contains(all.String(), "func "+name[1]+"(") {
			t.Errorf("docs/reliability.md names the test %s, which there is not", name[1])
		}
	}
	if len(named) < 50 {
		t.Errorf("docs/reliability.md names %d tests: this test does not look in the right way", len(named))
	}
}
