package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"longhaul/internal/pipeline"
)

func TestStatesAreDocumented(t *testing.T) {
	t.Parallel()
	const path = "../../../docs/states.md"
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run 'go generate ./...'", err)
	}
	if want := render(pipeline.Machines()); !bytes.Equal(got, want) {
		t.Errorf("docs/states.md is not what package pipeline says; run 'go generate ./...'")
	}
}

// TestDiagramsAreMermaid checks each line of a diagram against the part of
// Mermaid's language that is safe everywhere.
func TestDiagramsAreMermaid(t *testing.T) {
	t.Parallel()
	edge := regexp.MustCompile(`^    (\[\*\]|[a-z_]+) --> ([a-z_]+: [^:;#"]+|\[\*\])$`)
	for block := range strings.SplitSeq(string(render(pipeline.Machines())), "```mermaid\n") {
		diagram, _, ok := strings.Cut(block, "```")
		if !ok { // what is before the first diagram
			continue
		}
		lines := strings.Split(strings.TrimSpace(diagram), "\n")
		if lines[0] != "stateDiagram-v2" || len(lines) < 4 {
			t.Errorf("not a state diagram:\n%s", diagram)
		}
		for _, line := range lines[1:] {
			if !edge.MatchString(line) {
				t.Errorf("not an edge that is safe in Mermaid: %q", line)
			}
		}
	}
}

func TestEveryMachineHasItsSection(t *testing.T) {
	t.Parallel()
	text := string(render(pipeline.Machines()))
	for _, m := range pipeline.Machines() {
		title, about := words(m.Entity)
		if about == "" || !strings.Contains(text, fmt.Sprintf("\n## %s\n\n%s\n", title, about)) {
			t.Errorf("no section on the %s", m.Entity)
		}
		for _, s := range m.Statuses() {
			if reserved(s) {
				t.Errorf("%s: %s is a word of Mermaid's own", m.Entity, s)
			}
		}
		for _, tr := range m.Transitions {
			if !strings.Contains(text, fmt.Sprintf(" | %s | %s | %s |\n", tr.To, tr.Actor, tr.When)) {
				t.Errorf("%s: no row for %v", m.Entity, tr)
			}
		}
	}
}

// reserved are the words that Mermaid would not take as the name of a state.
func reserved(s pipeline.Status) bool {
	return slices.Contains([]string{"state", "note", "end", "class", "style", "default", "direction", "as"}, string(s))
}
