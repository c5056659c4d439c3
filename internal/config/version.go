package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// CheckVersionNum reports what is wrong with upload.version_num. It may hold
// the placeholders {longhaul}, the revision of this program, and {git:/path},
// the commit of the git checkout at that path.
func CheckVersionNum(text string) error {
	if problem, want := versionNumProblem(text); problem != "" {
		return errors.New("it " + problem + "; " + want)
	}
	return nil
}

// ExpandVersionNum puts the revision of this program and of git checkouts in
// the places of upload.version_num that ask for them.
func ExpandVersionNum(text, longhaul string, git func(path string) (string, error)) (string, error) {
	if err := CheckVersionNum(text); err != nil {
		return "", err
	}
	parts, _ := splitTemplate(text)
	var b strings.Builder
	for _, p := range parts {
		path, isGit := strings.CutPrefix(p.text, "git:")
		switch {
		case !p.placeholder:
			b.WriteString(p.text)
		case isGit:
			commit, err := git(path)
			if err != nil {
				return "", fmt.Errorf("version of %s: %w", path, err)
			}
			b.WriteString(commit)
		default:
			b.WriteString(longhaul)
		}
	}
	return b.String(), nil
}

func versionNumProblem(text string) (problem, want string) {
	parts, problem := splitTemplate(text)
	switch {
	case problem != "":
		return problem, "placeholders are written {longhaul} or {git:/path/of/checkout}"
	case strings.TrimSpace(text) == "":
		return "is empty", `give it, as version_num = "PIPELINE:{longhaul}"`
	}
	for _, p := range parts {
		path, isGit := strings.CutPrefix(p.text, "git:")
		switch {
		case !p.placeholder, p.text == "longhaul":
		case !isGit:
			return fmt.Sprintf("has the unknown placeholder {%s}", p.text), "use {longhaul} or {git:/path/of/checkout}"
		case !filepath.IsAbs(path):
			return fmt.Sprintf("has {%s} without an absolute path", p.text), "write it as {git:/path/of/checkout}"
		}
	}
	return "", ""
}
