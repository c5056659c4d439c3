package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pageWidth is what status and explain keep to, in columns.
const pageWidth = 80

// page is text for a person in the making. Foreign text may go into it as it
// is: writeTo makes it harmless.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) {
	fmt.Fprintf(p, format, args...)
	p.WriteByte('\n')
}

// field writes a name and its value, unless that is empty.
func (p *page) field(name, value string) {
	if value == "" {
		return
	}
	p.line("  %-14s %s", name, strings.Join(strings.Fields(value), " "))
}

// wrapped writes a text in lines of at most pageWidth columns, the first after
// a lead and the others below it.
func (p *page) wrapped(lead, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(lead))
	line := lead
	empty := true
	for _, word := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > pageWidth {
			p.line("%s", line)
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	p.line("%s", line)
}

// writeTo prints the page.
func (p *page) writeTo(w io.Writer) error {
	_, err := io.WriteString(w, clean(p.String()))
	return err
}

// clean replaces what a terminal would obey rather than show. Names and error
// texts come from servers, jobs and file systems.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', unicode.IsGraphic(r):
			return r
		case r == '\t':
			return ' '
		}
		return utf8.RuneError
	}, s)
}

// column is a column of a table.
type column struct {
	title string
	right bool // numbers stand on the right
}

// table writes rows below their titles, as wide as they need to be.
func (p *page) table(indent string, columns []column, rows [][]string) {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = utf8.RuneCountInString(c.title)
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	for _, row := range slices.Insert(slices.Clone(rows), 0, titles) {
		var b strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if columns[i].right {
				b.WriteString(pad + cell)
			} else {
				b.WriteString(cell + pad)
			}
			b.WriteString("  ")
		}
		p.line("%s", strings.TrimRight(indent+b.String(), " "))
	}
}

// cut shortens a text to n columns, on one line.
func cut(s string, n int) string {
	r := []rune(strings.Join(strings.Fields(s), " "))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}

// cutMiddle shortens a name to n columns; its end tells as much as its beginning.
func cutMiddle(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	head := (n - 1) / 3
	return string(r[:head]) + "…" + string(r[len(r)-(n-1-head):])
}

// writeJSON prints a value for programs.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
