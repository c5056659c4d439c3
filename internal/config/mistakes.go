package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Mistake is one thing that is wrong with the configuration.
type Mistake struct {
	// File is the configuration file, or whatever else gave the setting: a
	// credential's file, or an environment variable as "$NAME". Empty if the
	// configuration was not read from any text.
	File string
	// Line counts from 1; 0 if the mistake has no line of its own.
	Line int
	// Key is the setting as section.key, or product[name].key.
	Key     string
	Problem string // what is wrong
	Want    string // what would be right
}

// String returns the mistake on one line, as
// "config.toml:12: background.sleep: is 0s; it must be at least 1s".
func (m Mistake) String() string {
	at := m.File
	if m.Line > 0 {
		at = fmt.Sprintf("%s:%d", m.File, m.Line)
	}
	text := m.Problem
	if m.Want != "" {
		text += "; " + m.Want
	}
	var parts []string
	for _, part := range []string{at, m.Key, text} {
		if part != "" {
			parts = append(parts, oneLine(part))
		}
	}
	return strings.Join(parts, ": ")
}

// oneLine quotes a text that would spoil the line or the terminal.
func oneLine(text string) string {
	if printable(text) {
		return text
	}
	return strconv.Quote(text)
}

// Mistakes is the error of a configuration that cannot be used: all that is
// wrong with it, in the order of the file. It is never empty.
type Mistakes []Mistake

// Error returns one line for each mistake.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, one := range m {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// report collects mistakes about one Config.
type report struct {
	cfg      *Config
	mistakes Mistakes
	// broken are the paths of settings and sections that could not be
	// understood. They have had their mistake: what the checks find in them
	// afterwards is no news.
	broken map[string]bool
}

// add notes that something is wrong with the setting at path.
func (r *report) add(path, problem, want string) {
	for p := path; p != ""; p = parent(p) {
		if r.broken[p] {
			return
		}
	}
	at := r.cfg.origin.place(path)
	r.mistakes = append(r.mistakes, Mistake{at.file, at.line, r.label(path), problem, want})
}

// fail notes a setting that cannot be understood, which thereby keeps its default.
func (r *report) fail(path, problem, want string) {
	r.add(path, problem, want)
	r.broken[path] = true
}

// label turns a path into words for people: entries of [[product]] and
// [[stage]] are called by their names, or counted from 1 if they have none to speak of.
func (r *report) label(path string) string {
	table, rest, ok := strings.Cut(path, "[")
	if !ok {
		return path
	}
	number, rest, _ := strings.Cut(rest, "]")
	i, err := strconv.Atoi(number)
	if err != nil {
		return path
	}
	name := ""
	switch {
	case table == "product" && i < len(r.cfg.Products):
		name = r.cfg.Products[i].Name
	case table == "stage" && i < len(r.cfg.Stages):
		name = r.cfg.Stages[i].Name
	}
	if !spelled(name, letters, letters+digits+"_-") {
		name = strconv.Itoa(i + 1)
	}
	return table + "[" + name + "]" + rest
}

// err returns what was collected, in the order of the file; what has no line
// comes last. It returns nil if nothing is wrong.
func (r *report) err() error {
	if len(r.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(r.mistakes, func(a, b Mistake) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Compare(a.Line, b.Line)
	})
	return r.mistakes
}
