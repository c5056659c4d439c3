package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxName is the longest name of a directory that file systems take, bytes.
const maxName = 255

// The forms of {date} and {time}. The second is the original pipeline's.
const (
	dateForm = "20060102"
	timeForm = "060102T150405"
)

// obsParts are the groups that, joined, name an observation whose files have no
// group obs.
func obsParts() []string { return []string{"projid", "source", "scan"} }

// ExpandOutputDir returns the stage's output directory, relative to
// base_results_directory, for one submit of a job at a certain time. The
// metadata are the job's; they come from file names, so whatever is not a
// letter, a digit or one of "+._-" becomes "_". The result never leaves
// the directory that it is put in.
func (s Stage) ExpandOutputDir(meta map[string]string, job int64, at time.Time) (string, error) {
	parts, problem := splitTemplate(s.OutputDir)
	if problem != "" {
		return "", fmt.Errorf("output directory of stage %s: %q %s", s.Name, s.OutputDir, problem)
	}
	var b strings.Builder
	for _, p := range parts {
		value := p.text
		if p.placeholder {
			var ok bool
			if value, ok = s.placeholder(p.text, meta, job, at); !ok {
				return "", fmt.Errorf("output directory of stage %s: the job's files give no {%s}", s.Name, p.text)
			}
			value = cleanName(value)
		}
		b.WriteString(value)
	}
	names := strings.Split(b.String(), "/")
	for i, name := range names {
		if name == "" || len(name) > maxName {
			return "", fmt.Errorf("output directory of stage %s: %q is no name for a directory", s.Name, name)
		}
		if strings.Trim(name, ".") == "" { // "." and ".." lead elsewhere
			names[i] = strings.Repeat("_", len(name))
		}
	}
	return strings.Join(names, "/"), nil
}

// placeholder returns the value of a placeholder; not ok if there is none.
func (s Stage) placeholder(name string, meta map[string]string, job int64, at time.Time) (value string, ok bool) {
	switch name {
	case "time":
		return at.UTC().Format(timeForm), true
	case "stage":
		return s.Name, true
	case "job":
		return strconv.FormatInt(job, 10), true
	}
	if value := meta[name]; value != "" {
		return value, true
	}
	switch name {
	case "mjd":
		return mjdOfDate(meta["date"])
	case "date":
		return dateOfMJD(meta["mjd"])
	case "obs":
		var have []string
		for _, part := range obsParts() {
			if meta[part] != "" {
				have = append(have, meta[part])
			}
		}
		return strings.Join(have, "."), len(have) > 0
	}
	return "", false
}

// needs returns the groups of which a product must have at least one for a
// placeholder; none if it does not depend on the product.
func needs(placeholder string) []string {
	switch placeholder {
	case "time", "stage", "job":
		return nil
	case "mjd", "date":
		return []string{"date", "mjd"}
	case "obs":
		return append(obsParts(), "obs")
	default:
		return []string{placeholder}
	}
}

// mjdEpoch is day 0 of the Modified Julian Date.
func mjdEpoch() time.Time { return time.Date(1858, time.November, 17, 0, 0, 0, 0, time.UTC) }

// mjdOfDate turns YYYYMMDD into a Modified Julian Date.
func mjdOfDate(date string) (mjd string, ok bool) {
	t, err := time.Parse(dateForm, date)
	if err != nil {
		return "", false
	}
	// Not by a time.Duration, which ends after 292 years.
	return strconv.FormatInt((t.Unix()-mjdEpoch().Unix())/86400, 10), true
}

// dateOfMJD turns a Modified Julian Date into YYYYMMDD.
func dateOfMJD(mjd string) (date string, ok bool) {
	n, err := strconv.Atoi(mjd)
	if err != nil || n < 0 || n > 999999 {
		return "", false
	}
	return mjdEpoch().AddDate(0, 0, n).Format(dateForm), true
}

// cleanName replaces what does not belong into the name of a directory.
func cleanName(value string) string {
	return strings.Map(func(c rune) rune {
		if plainRune(c) {
			return c
		}
		return '_'
	}, value)
}

func plainRune(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("+._-", c)
}

// outputDirProblem judges a stage's template by the groups that its inputs have.
func outputDirProblem(s Stage, products map[string][]string) (problem, want string) {
	const example = `write it as "` + defaultOutputDir + `"`
	parts, problem := splitTemplate(s.OutputDir)
	switch {
	case problem != "":
		return problem, example
	case filepath.IsAbs(s.OutputDir):
		return fmt.Sprintf("is %q, an absolute path", s.OutputDir), "it is beneath base_results_directory: " + example
	}
	for _, name := range strings.Split(s.OutputDir, "/") {
		if strings.Trim(name, ".") == "" {
			return fmt.Sprintf("is %q, in which %q is no name for a directory", s.OutputDir, name), example
		}
	}
	for _, p := range parts {
		if p.placeholder {
			problem, want = placeholderProblem(p.text, s.Inputs, products)
		} else if cleanName(strings.ReplaceAll(p.text, "/", "_")) != strings.ReplaceAll(p.text, "/", "_") {
			problem, want = fmt.Sprintf("has %q in it", p.text), "use letters, digits and + . _ - beside placeholders"
		}
		if problem != "" {
			return problem, want
		}
	}
	if !slices.Contains(parts, part{"time", true}) {
		return "has no {time}", "each submit needs a directory of its own: " + example
	}
	return "", ""
}

// placeholderProblem reports a placeholder that some input would leave without a value.
func placeholderProblem(name string, inputs []string, products map[string][]string) (problem, want string) {
	groups := needs(name)
	for _, input := range inputs {
		have := products[input]
		if len(groups) == 0 || have == nil || slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(have, g) }) {
			continue // have is nil for a product that has had its mistake
		}
		return fmt.Sprintf("has {%s}, which the pattern of product %s does not give", name, input),
			"name that group in the pattern, or use {time}, {stage}, {job} and groups that all inputs have"
	}
	return "", ""
}
