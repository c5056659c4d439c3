package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// checkProducts returns the named groups of each product's pattern, by the
// product's name; nil for a pattern that does not compile.
func (r *reader) checkProducts() map[string][]string {
	groups := map[string][]string{}
	if len(r.cfg.Products) == 0 {
		r.add("product", "is missing", "describe at least one kind of file by a [[product]]; config.example.toml has three")
	}
	for i, p := range r.cfg.Products {
		path := fmt.Sprintf("product[%d]", i)
		_, twice := groups[p.Name]
		r.checkName(path, p.Name, twice)
		if pattern := r.checkProduct(path, p); p.Name != "" {
			groups[p.Name] = pattern
		}
	}
	return groups
}

func (r *report) checkName(path, name string, twice bool) {
	path += ".name"
	switch {
	case !r.required(path, name, `"mock"`):
	case !spelled(name, small, small+digits+"_-"):
		r.add(path, fmt.Sprintf("is %q", name), "begin with a small letter, and use small letters, digits, _ and -")
	case twice:
		r.add(path, fmt.Sprintf("is %q, and so is another", name), "give each its own name")
	}
}

// checkProduct returns the named groups of the pattern.
func (r *report) checkProduct(path string, p Product) []string {
	if !r.required(path+".pattern", p.Pattern, `'^(?P<source>.*)\.fits$'`) {
		return nil
	}
	pattern, err := regexp.Compile(p.Pattern)
	if err != nil {
		r.add(path+".pattern", "is no regular expression: "+err.Error(), "see https://pkg.go.dev/regexp/syntax; groups are written (?P<name>…)")
		return nil
	}
	groups := slices.DeleteFunc(pattern.SubexpNames(), func(name string) bool { return name == "" })
	if len(p.GroupBy) == 0 {
		r.add(path+".group_by", "is missing", "list the groups in which files that belong together are equal, some of "+quoted(groups))
	}
	r.areGroups(path+".group_by", p.GroupBy, groups)
	for i, name := range p.GroupBy {
		if slices.Contains(p.GroupBy[:i], name) {
			r.add(path+".group_by", fmt.Sprintf("has %q twice", name), "name each group once")
		}
	}
	r.checkValues(path+".complete", p.Complete, groups)
	for _, name := range slices.Sorted(maps.Keys(p.Complete)) {
		if slices.Contains(p.GroupBy, name) {
			r.add(path+".complete", fmt.Sprintf("has %q, and so has group_by", name),
				"files of one group are equal in group_by and differ in complete: remove it from one of them")
		}
	}
	r.checkValues(path+".ignore", p.Ignore, groups)
	return groups
}

// areGroups reports names that are no groups of the pattern.
func (r *report) areGroups(path string, names, groups []string) {
	for _, name := range names {
		if slices.Contains(groups, name) {
			continue
		}
		want := "use some of " + quoted(groups)
		if len(groups) == 0 {
			want = "name groups in the pattern, as (?P<source>.*)"
		}
		r.add(path, fmt.Sprintf("has %q, which is no group of the pattern", name), want)
	}
}

// checkValues looks at a table from groups to their values.
func (r *report) checkValues(path string, values map[string][]string, groups []string) {
	names := slices.Sorted(maps.Keys(values))
	r.areGroups(path, names, groups)
	for _, name := range names {
		if len(values[name]) == 0 {
			r.add(path, fmt.Sprintf("has no values for %q", name), fmt.Sprintf(`list them, as { %s = ["0", "1"] }`, name))
		}
	}
}
