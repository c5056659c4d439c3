package exec

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"longhaul/internal/queue"
)

var placeholder = regexp.MustCompile(`\{([a-z_]+)\}`)

// resourceNames are the placeholders of what a submission asks for.
var resourceNames = []string{"cpus", "memory", "memory_mb", "walltime", "walltime_hms", "stdout", "stderr"}

// resources returns the values of the placeholders of a submission, "" for what
// it does not ask for.
func resources(spec queue.Spec) map[string]string {
	v := map[string]string{
		"name": spec.Name, "stdout": spec.Stdout, "stderr": spec.Stderr, "cpus": strconv.Itoa(max(1, spec.Resources.CPUs)),
		"memory": "", "memory_mb": "", "walltime": "", "walltime_hms": "",
	}
	if m := spec.Resources.Memory; m > 0 {
		v["memory"] = strconv.FormatInt(m, 10)
		v["memory_mb"] = strconv.FormatInt((m+1<<20-1)>>20, 10)
	}
	if w := spec.Resources.WallTime; w > 0 {
		s := int64((w + time.Second - 1) / time.Second)
		v["walltime"] = strconv.FormatInt(s, 10)
		v["walltime_hms"] = fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return v
}

// fill puts values in the places of their names. What is put in is not looked
// through again, and an argument with an empty value is left out.
func fill(argv []string, values map[string]string) []string {
	var filled []string
	for _, arg := range argv {
		keep := true
		arg = placeholder.ReplaceAllStringFunc(arg, func(p string) string {
			value, known := values[p[1:len(p)-1]]
			if known && value == "" {
				keep = false
			}
			return value
		})
		if keep {
			filled = append(filled, arg)
		}
	}
	return filled
}

// checkArguments reports what is wrong with a command: a placeholder that it
// does not have, or one that it must have and has not.
func checkArguments(argv, allowed []string, needed string) error {
	var errs []error
	found := needed == ""
	for i, arg := range argv {
		for _, m := range placeholder.FindAllStringSubmatch(arg, -1) {
			found = found || m[1] == needed
			if !slices.Contains(allowed, m[1]) {
				errs = append(errs, fmt.Errorf("{%s} has no meaning here", m[1]))
			}
			if i == 0 {
				errs = append(errs, errors.New("its program must not have a placeholder"))
			}
		}
	}
	if !found {
		errs = append(errs, fmt.Errorf("it has no {%s}", needed))
	}
	return errors.Join(errs...)
}
