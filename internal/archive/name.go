package archive

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of the file systems that the names must fit into, in bytes.
const (
	maxName = 255
	maxPath = 4096
)

// CheckName says what is wrong with the name of a file that a server listed.
// A name that passes is one element of a path, printable, does not look like
// an option to a command, and is not hidden: hidden names are those of
// unfinished files, at the archive and here.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("empty name")
	case len(name) > maxName:
		return fmt.Errorf("name of %d bytes, longest allowed is %d", len(name), maxName)
	case strings.ContainsRune(name, '/'):
		return errors.New("name with a slash")
	case name[0] == '-':
		return errors.New("name that starts with a dash")
	case name[0] == '.': // covers "." and ".."
		return errors.New("name that starts with a dot")
	}
	return checkPrintable(name)
}

// checkPath guards what is sent to a server as the path of a file or
// directory. The empty path is the directory that one arrives in.
func checkPath(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("path of %d bytes, longest allowed is %d", len(path), maxPath)
	}
	if strings.HasPrefix(path, "-") {
		return errors.New("path that starts with a dash") // LIST would take it for options
	}
	for element := range strings.SplitSeq(path, "/") {
		if element == ".." {
			return errors.New("path that leads upwards")
		}
	}
	return checkPrintable(path)
}

// checkPrintable refuses control characters, which can end a command line,
// and invisible ones, which can mislead a reader.
func checkPrintable(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("not valid UTF-8")
	}
	for _, r := range s {
		if !unicode.IsGraphic(r) {
			return fmt.Errorf("unprintable character %U", r)
		}
	}
	return nil
}

// quote makes foreign text safe to show: quoted, without line ends, short.
func quote(s string) string {
	const most = 200
	if len(s) <= most {
		return strconv.Quote(s)
	}
	return strconv.Quote(s[:most]) + fmt.Sprintf(" and %d bytes more", len(s)-most)
}
