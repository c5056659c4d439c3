package config

import (
	"maps"
	"reflect"
	"slices"
)

func (r *reader) unknownSection(name string, raw any) {
	known := slices.Collect(maps.Keys(maps.Collect(settings(reflect.ValueOf(r.cfg).Elem()))))
	if _, isTable := raw.(map[string]any); !isTable {
		if section := r.sectionOf(name); section != "" {
			r.fail(name, "stands outside of any section", "it belongs to ["+section+"]")
			return
		}
	}
	if like := nearest(name, known); like != "" {
		r.fail(name, "is no section", "did you mean "+like+"?")
		return
	}
	r.fail(name, "is no section", "remove it")
}

func (r *reader) unknownKey(table reflect.Value, path, key string) {
	var known []string
	for name, field := range settings(table) {
		known = append(known, name)
		if isSecret(field) {
			known = append(known, name+"_file")
		}
	}
	if section := r.sectionOf(key); section != "" {
		r.fail(path+"."+key, "is no setting", "it belongs to ["+section+"]")
		return
	}
	if like := nearest(key, known); like != "" {
		r.fail(path+"."+key, "is no setting", "did you mean "+like+"?")
		return
	}
	r.fail(path+"."+key, "is no setting", "remove it")
}

// sectionOf returns the only section that has a setting of this name, or "".
func (r *reader) sectionOf(key string) (section string) {
	for name, table := range sections(r.cfg) {
		if _, ok := setting(table, key); ok {
			if section != "" {
				return ""
			}
			section = name
		}
	}
	return section
}

// nearest returns the word that is most like a misspelt one, or "" if none is
// near enough to be meant.
func nearest(word string, known []string) string {
	best, least := "", max(2, len(word)/3)+1
	slices.Sort(known) // of equals the first, so that messages do not change
	for _, k := range known {
		if d := distance(word, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of letters to add, drop or change to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
