package config

import (
	"errors"
	"io/fs"
	"iter"
	"reflect"
	"strings"

	"github.com/BurntSushi/toml"
)

// reader makes a Config of a text and what is around it.
type reader struct {
	report
	environ  map[string]string
	readFile func(path string) ([]byte, fs.FileMode, error)
	// secretFiles are the files that *_file settings name, by the secret's path.
	secretFiles map[string]string
	inline      []string // paths of secrets that stand in the file itself
	understood  bool     // the text is TOML
}

func newReader(name string, env Env) *reader {
	cfg := Default()
	cfg.origin = origin{file: name, inFile: map[string]bool{}, elsewhere: map[string]place{}}
	r := &reader{
		report:      report{cfg: cfg, broken: map[string]bool{}},
		environ:     map[string]string{},
		readFile:    env.ReadFile,
		secretFiles: map[string]string{},
	}
	for _, pair := range env.Environ {
		// One that is empty counts as not set: that is how units unset them.
		if name, value, _ := strings.Cut(pair, "="); value != "" {
			r.environ[name] = value
		}
	}
	return r
}

// parseTOML turns the text into tables and notes where everything stands.
func (r *reader) parseTOML(data []byte) (raw map[string]any, ok bool) {
	_, err := toml.Decode(string(data), &raw)
	if err == nil {
		r.cfg.origin.lines = scanLines(string(data))
		return raw, true
	}
	problem := Mistake{File: r.cfg.origin.file, Problem: err.Error()}
	if at, ok := errors.AsType[toml.ParseError](err); ok {
		problem.Line, problem.Problem = at.Position.Line, at.Message
		if holdsSecret(string(data), at.Position.Line) {
			problem.Problem = "is not valid TOML"
			problem.Want = "write a secret in quotes, or in a file of its own"
		}
	}
	r.mistakes = append(r.mistakes, problem)
	return nil, false
}

// holdsSecret reports whether the line may hold a password, which the parser
// might quote in its message.
func holdsSecret(text string, line int) bool {
	lines := strings.Split(text, "\n")
	return line >= 1 && line <= len(lines) && strings.Contains(lines[line-1], "password")
}

// sections yields the plain sections of the configuration by name, in order.
func sections(cfg *Config) iter.Seq2[string, reflect.Value] {
	return func(yield func(string, reflect.Value) bool) {
		for name, field := range settings(reflect.ValueOf(cfg).Elem()) {
			if field.Kind() == reflect.Struct && !yield(name, field) {
				return
			}
		}
	}
}

// settings yields the settings of a section, or of a table, by key, in order.
func settings(table reflect.Value) iter.Seq2[string, reflect.Value] {
	return func(yield func(string, reflect.Value) bool) {
		for i := range table.NumField() {
			key := table.Type().Field(i).Tag.Get("toml")
			if key != "" && !yield(key, table.Field(i)) {
				return
			}
		}
	}
}

// setting returns one setting of a section or table.
func setting(table reflect.Value, key string) (field reflect.Value, ok bool) {
	for name, field := range settings(table) {
		if name == key {
			return field, true
		}
	}
	return reflect.Value{}, false
}

func isSecret(field reflect.Value) bool { return field.Type() == reflect.TypeFor[Secret]() }
