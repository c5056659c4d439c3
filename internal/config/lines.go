package config

import (
	"fmt"
	"strings"
)

// scanLines returns the line, from 1, of every table and key in a TOML text,
// by path. The library tells only what it read, not where. The text is known
// to be valid, so this need only tell keys from values; of keys in an inline
// table it knows nothing.
func scanLines(text string) map[string]int {
	s := lineScanner{text: strings.TrimPrefix(text, "\ufeff"), line: 1,
		entries: map[string]int{}, lines: map[string]int{}}
	for s.skipBlank(); s.pos < len(s.text); s.skipBlank() {
		s.statement()
	}
	return s.lines
}

type lineScanner struct {
	text    string
	pos     int
	line    int
	table   string         // path of the table that the next keys belong to
	entries map[string]int // how many entries an array of tables has so far
	lines   map[string]int
}

// statement reads a table's header or a key with its value.
func (s *lineScanner) statement() {
	line := s.line
	switch {
	case s.take("[["):
		path := s.resolve("", s.key(), false)
		s.note(path, line)
		s.entries[path]++
		s.table = fmt.Sprintf("%s[%d]", path, s.entries[path]-1)
		s.note(s.table, line)
	case s.take("["):
		s.table = s.resolve("", s.key(), true)
		s.note(s.table, line)
	default:
		s.note(s.resolve(s.table, s.key(), true), line)
		s.take("=")
	}
	s.skipValue()
}

// resolve joins the parts of a key to a path. A part that is an array of
// tables means its newest entry; the last part only if lastToo.
func (s *lineScanner) resolve(path string, parts []string, lastToo bool) string {
	for i, part := range parts {
		if path != "" {
			path += "."
		}
		path += part
		if n := s.entries[path]; n > 0 && (lastToo || i < len(parts)-1) {
			path = fmt.Sprintf("%s[%d]", path, n-1)
		}
	}
	return path
}

// note keeps the first line on which a path is met.
func (s *lineScanner) note(path string, line int) {
	if _, ok := s.lines[path]; !ok {
		s.lines[path] = line
	}
}

// key reads a key of one or more parts with dots in between.
func (s *lineScanner) key() (parts []string) {
	for {
		s.skipAny(" \t")
		start := s.pos
		if s.at(`"`) || s.at("'") {
			s.skipString()
			parts = append(parts, strings.Trim(s.text[start:s.pos], `"'`))
		} else {
			for s.pos < len(s.text) && !strings.ContainsRune(" \t\r\n.=]#", rune(s.text[s.pos])) {
				s.pos++
			}
			parts = append(parts, s.text[start:s.pos])
		}
		s.skipAny(" \t")
		if !s.take(".") {
			return parts
		}
	}
}

// skipValue goes to the end of the line on which the value ends.
func (s *lineScanner) skipValue() {
	for depth := 0; s.pos < len(s.text); {
		switch c := s.text[s.pos]; c {
		case '"', '\'':
			s.skipString()
			continue
		case '#':
			s.skipComment()
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '\n':
			if depth <= 0 {
				return
			}
			s.line++
		}
		s.pos++
	}
}

// skipString goes behind a string in any of TOML's four kinds of quotes.
func (s *lineScanner) skipString() {
	quote := s.text[s.pos : s.pos+1]
	escapes := quote == `"`
	if s.at(quote + quote + quote) {
		quote += quote + quote
	}
	for s.pos += len(quote); s.pos < len(s.text); s.pos++ {
		switch {
		case s.text[s.pos] == '\n':
			s.line++
		case s.text[s.pos] == '\\' && escapes:
			s.pos++
			if s.at("\n") {
				s.line++
			}
		case s.at(quote):
			s.pos += len(quote)
			if len(quote) > 1 { // its last characters may be quotes too
				s.skipAny(quote[:1])
			}
			return
		}
	}
	s.pos = min(s.pos, len(s.text)) // an escape may have led beyond
}

func (s *lineScanner) skipBlank() {
	for s.pos < len(s.text) {
		switch {
		case s.at("\n"):
			s.line++
			s.pos++
		case s.at("#"):
			s.skipComment()
		case s.at(" "), s.at("\t"), s.at("\r"):
			s.pos++
		default:
			return
		}
	}
}

func (s *lineScanner) skipComment() {
	for s.pos < len(s.text) && s.text[s.pos] != '\n' {
		s.pos++
	}
}

func (s *lineScanner) skipAny(chars string) {
	for s.pos < len(s.text) && strings.IndexByte(chars, s.text[s.pos]) >= 0 {
		s.pos++
	}
}

func (s *lineScanner) at(token string) bool { return strings.HasPrefix(s.text[s.pos:], token) }

func (s *lineScanner) take(token string) bool {
	if !s.at(token) {
		return false
	}
	s.pos += len(token)
	return true
}
