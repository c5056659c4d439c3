package tests

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"longhaul/internal/crashpoint"
)

// The table of side effects in the documents is that of the code.
func TestTheDocumentsListEverySideEffect(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, e := range crashpoint.All() {
		fmt.Fprintf(&want, "| %s | %s | %s |\n", e.Point, e.Daemon, e.Settled)
	}
	if !strings.Contains(string(text), want.String()) {
		t.Errorf("docs/reliability.md lacks this table:\n%s", want.String())
	}
}
