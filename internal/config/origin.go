package config

import "strings"

// origin says where the settings came from. Paths are "section.key" and
// "product[0].key", counted from 0.
type origin struct {
	file      string
	lines     map[string]int   // of the tables and keys in the file
	inFile    map[string]bool  // settings that stand in the file
	elsewhere map[string]place // settings that came from elsewhere
}

// place is where a setting stands; line 0 if it is not one of a text's lines.
type place struct {
	file string
	line int
}

// place returns where the setting stands or, if it is missing, its section.
func (o origin) place(path string) place {
	if at, ok := o.elsewhere[path]; ok {
		return at
	}
	for ; path != ""; path = parent(path) {
		if line, ok := o.lines[path]; ok {
			return place{o.file, line}
		}
	}
	return place{file: o.file}
}

// given reports whether anything gave the setting; otherwise it has its default.
func (o origin) given(path string) bool {
	_, elsewhere := o.elsewhere[path]
	return elsewhere || o.inFile[path]
}

// parent returns the path of what the setting or entry is part of; "" if nothing.
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }
