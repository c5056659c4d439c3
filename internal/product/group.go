package product

import (
	"fmt"
	"slices"
	"strings"

	"longhaul/internal/pipeline"
)

// Group is the files that are processed together.
type Group struct {
	Product  string
	Key      string
	Name     string // for people: the group's values joined by dots
	Files    []pipeline.File
	Metadata map[string]string // in which all its files agree
	// Missing says what a group still waits for, Wrong why it can never be
	// complete; both are empty for a complete group.
	Missing []string
	Wrong   string
}

// Complete reports whether the group can be processed.
func (g Group) Complete() bool { return len(g.Missing) == 0 && g.Wrong == "" }

// Group sorts files into groups, in the order in which their first files come.
// The cost is linear in the number of files.
func (s *Set) Group(files []pipeline.File) []Group {
	type key struct{ product, group string }
	index := make(map[key]int)
	var groups []Group
	for _, f := range files {
		k := key{f.Product, f.GroupKey}
		i, ok := index[k]
		if !ok {
			i = len(groups)
			index[k] = i
			groups = append(groups, Group{Product: f.Product, Key: f.GroupKey,
				Name: strings.ReplaceAll(f.GroupKey, "/", ".")})
		}
		groups[i].Files = append(groups[i].Files, f)
	}
	for i := range groups {
		s.judge(&groups[i])
	}
	return groups
}

// judge says whether a group is complete, and if not, why.
func (s *Set) judge(g *Group) {
	g.Metadata = common(g.Files)
	p := s.find(g.Product)
	if p == nil {
		g.Wrong = fmt.Sprintf("the configuration has no product %q", g.Product)
		return
	}
	want := combinations(p.Complete)
	have := make(map[string]string, len(g.Files)) // combination → file
	for _, f := range g.Files {
		c := combination(p.Complete, f.Metadata)
		switch first, taken := have[c]; {
		case taken:
			g.Wrong = fmt.Sprintf("%s and %s are the same part of it", first, f.Filename)
			return
		case !slices.Contains(want, c):
			g.Wrong = fmt.Sprintf("%s is no part of it (%s)", f.Filename, c)
			return
		}
		have[c] = f.Filename
	}
	for _, c := range want {
		if _, ok := have[c]; !ok {
			g.Missing = append(g.Missing, c)
		}
	}
}

// common is the metadata in which all files agree.
func common(files []pipeline.File) map[string]string {
	all := make(map[string]string)
	for k, v := range files[0].Metadata {
		if !slices.ContainsFunc(files, func(f pipeline.File) bool { return f.Metadata[k] != v }) {
			all[k] = v
		}
	}
	return all
}

// combinations lists every part that a complete group has exactly once, as
// "name=value" joined by blanks; a product without parts has the empty one.
func combinations(complete map[string][]string) []string {
	parts := []string{""}
	for _, name := range sortedKeys(complete) {
		var longer []string
		for _, p := range parts {
			for _, v := range complete[name] {
				longer = append(longer, strings.TrimSpace(p+" "+name+"="+v))
			}
		}
		parts = longer
	}
	return parts
}

func combination(complete map[string][]string, meta map[string]string) string {
	var parts []string
	for _, name := range sortedKeys(complete) {
		parts = append(parts, name+"="+meta[name])
	}
	return strings.Join(parts, " ")
}

func sortedKeys(m map[string][]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
