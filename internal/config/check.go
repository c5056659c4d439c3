package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// check looks at everything that can be judged by the settings alone.
func (r *reader) check() {
	r.checkBasic()
	r.checkBackground()
	r.checkCommonDB()
	r.checkDownload()
	r.checkEmail()
	r.checkJobPooler()
	r.checkProcessing()
	r.checkUpload()
	products := r.checkProducts()
	r.checkStages(products)
}

// required reports a setting that has no value; the example shows what one
// looks like, as it stands in the file.
func (r *report) required(path, value, example string) bool {
	if value != "" {
		return true
	}
	key := path[strings.LastIndexByte(path, '.')+1:]
	problem := "is missing"
	if r.cfg.origin.given(path) {
		problem = "is empty"
	}
	r.add(path, problem, fmt.Sprintf("give it, as %s = %s", key, example))
	return false
}

// requiredPath reports a path that is missing or relative: a daemon's working
// directory is no place that anybody thinks of.
func (r *report) requiredPath(path, value, example string) bool {
	return r.required(path, value, `"`+example+`"`) && r.absolute(path, value)
}

func (r *report) absolute(path, value string) bool {
	if filepath.IsAbs(value) {
		return true
	}
	r.add(path, fmt.Sprintf("is %q, which is no absolute path", value), "begin it with /")
	return false
}

// requiredSecret reports a password that is nowhere to be found. There is
// nothing to say when secrets in files are not read, or when a unit has
// credentials: it is given only those that its daemon uses.
func (r *reader) requiredSecret(path string, value Secret) {
	if value != "" || r.readFile == nil || r.environ[credentials] != "" {
		return
	}
	section, key, _ := strings.Cut(path, ".")
	r.add(path, "is missing", fmt.Sprintf("give %s_file, a credential %s or %s%s",
		key, path, envPrefix, strings.ToUpper(section+"_"+key)))
}

// between reports a number outside of its range, bounds included.
func (r *report) between(path string, value, least, most int) {
	if value < least || value > most {
		r.add(path, fmt.Sprintf("is %d", value), fmt.Sprintf("it must be between %d and %d", least, most))
	}
}

func (r *report) atLeast(path string, value, least int) {
	if value < least {
		r.add(path, fmt.Sprintf("is %d", value), fmt.Sprintf("it must be at least %d", least))
	}
}

func (r *report) atLeastDuration(path string, value Duration, least time.Duration) {
	if value.Std() < least {
		r.add(path, "is "+value.String(), "it must be at least "+Duration(least).String())
	}
}

func (r *report) atLeastSize(path string, value, least Size) {
	if value < least {
		r.add(path, "is "+value.String(), "it must be at least "+least.String())
	}
}

// notShorter reports a time span that is shorter than another one of its section.
func (r *report) notShorter(path string, value Duration, than string, other Duration) {
	if value < other {
		r.add(path, "is "+value.String(), fmt.Sprintf("it must not be shorter than %s, which is %s", than, other))
	}
}

func (r *report) oneOf(path, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	want := fmt.Sprintf("it must be %q", allowed[0])
	if len(allowed) > 1 {
		want = fmt.Sprintf("it must be one of %s", quoted(allowed))
	}
	r.add(path, fmt.Sprintf("is %q", value), want)
}

// The characters of names.
const (
	small   = "abcdefghijklmnopqrstuvwxyz"
	letters = small + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// spelled reports whether a name begins with one of first and goes on with
// any of rest.
func spelled(name, first, rest string) bool {
	return name != "" && strings.IndexByte(first, name[0]) >= 0 && strings.Trim(name[1:], rest) == ""
}

// quoted lists words for a message: "a", "b", "c".
func quoted(words []string) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(list, ", ")
}
