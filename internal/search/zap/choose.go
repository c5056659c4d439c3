package zap

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"longhaul/internal/psrfits"
)

// Place is where zaplists are.
type Place struct {
	// Dir is a directory, or a tarball (.tar, .tar.gz, .tgz), with zaplists made
	// for a day's data: in date/mock_4bit or date/wapp_4bit, where date is
	// yyyymmdd, or at its top. May be empty.
	Dir string
	// Default is the zaplist for what has none of its own.
	Default string
}

// List is a zaplist that was chosen.
type List struct {
	Name string // its file name
	From string // the path, for the log
	Text string
	Zaps []Zap
}

// maxList bounds a zaplist, bytes.
const maxList = 16 << 20

// Choose finds the zaplist for an observation: the one for its file, for its
// beam on that day, for all beams on that day, or the default, in this order.
// paths are the observation's files.
func Choose(p Place, paths []string) (List, error) {
	dirs, names, err := wanted(paths)
	if err != nil {
		return List{}, err
	}
	if p.Dir != "" {
		l, found, err := p.custom(dirs, names)
		if err != nil {
			return l, fmt.Errorf("zaplists in %s: %w", p.Dir, err)
		}
		if found {
			return l.parse()
		}
	}
	if p.Default == "" {
		return List{}, fmt.Errorf("there is no zaplist %s in %q, and no default_zaplist is set", strings.Join(names, ", "), p.Dir)
	}
	f, err := os.Open(p.Default)
	if err != nil {
		return List{}, fmt.Errorf("default zaplist: %w", err)
	}
	defer f.Close()
	text, err := readList(f)
	if err != nil {
		return List{}, fmt.Errorf("default zaplist %s: %w", p.Default, err)
	}
	return List{Name: filepath.Base(p.Default), From: p.Default, Text: text}.parse()
}

func (l List) parse() (List, error) {
	var err error
	if l.Zaps, err = Parse(l.Text); err != nil {
		return l, fmt.Errorf("zaplist %s: %w", l.From, err)
	}
	return l, nil
}

// wanted returns the directories in which an observation's zaplist can be, and
// the names that it can have, the best first.
func wanted(paths []string) (dirs, names []string, err error) {
	if len(paths) == 0 {
		return nil, nil, errors.New("no files of an observation")
	}
	n, ok := psrfits.ParseName(paths[0])
	if !ok {
		return nil, nil, fmt.Errorf("%s: not a name of a Mock, merged Mock or WAPP file", filepath.Base(paths[0]))
	}
	day, kind := n.Day, "mock_4bit"
	if n.Kind == psrfits.WAPP {
		kind = "wapp_4bit"
		if day, err = dayOf(n.Day); err != nil {
			return nil, nil, err
		}
	}
	for _, path := range slices.Sorted(slices.Values(paths)) {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".fits")+".zaplist")
	}
	if n.Kind == psrfits.Mock { // the original looks for it by the merged file's name
		names = append(names, fmt.Sprintf("%s.%s.%s.b%s.%s.zaplist", n.Project, n.Day, n.Source, n.Beam, n.Scan))
	}
	names = append(names,
		fmt.Sprintf("%s.%s.b%s.zaplist", n.Project, day, n.Beam),
		fmt.Sprintf("%s.%s.all.zaplist", n.Project, day))
	return []string{day + "/" + kind, "."}, names, nil
}

// dayOf returns yyyymmdd for an MJD.
func dayOf(mjd string) (string, error) {
	days, err := strconv.Atoi(mjd)
	if err != nil {
		return "", err
	}
	return time.Date(1858, 11, 17, 0, 0, 0, 0, time.UTC).AddDate(0, 0, days).Format("20060102"), nil
}

// custom looks into the directory or the tarball.
func (p Place) custom(dirs, names []string) (List, bool, error) {
	info, err := os.Stat(p.Dir)
	if err != nil {
		return List{}, false, err
	}
	if !info.IsDir() {
		return fromTarball(p.Dir, dirs, names)
	}
	root, err := os.OpenRoot(p.Dir)
	if err != nil {
		return List{}, false, err
	}
	defer root.Close()
	for _, name := range names {
		for _, dir := range dirs {
			at := path.Join(dir, name)
			f, err := root.Open(at)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return List{}, false, err
			}
			text, err := readList(f)
			if err = errors.Join(err, f.Close()); err != nil {
				return List{}, false, fmt.Errorf("%s: %w", at, err)
			}
			return List{Name: name, From: filepath.Join(p.Dir, at), Text: text}, true, nil
		}
	}
	return List{}, false, nil
}

// fromTarball goes through a tarball once, keeping the best zaplist so far.
// What is above the date in its members' names does not matter.
func fromTarball(file string, dirs, names []string) (l List, found bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return l, false, err
	}
	defer f.Close()
	var r io.Reader = f
	if !strings.HasSuffix(file, ".tar") {
		unzip, err := gzip.NewReader(f)
		if err != nil {
			return l, false, err
		}
		r = unzip
	}
	best := len(dirs) * len(names)
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return l, found, nil
		}
		if err != nil {
			return l, false, err
		}
		rank := rankOf(path.Clean("/"+h.Name), dirs, names)
		if h.Typeflag != tar.TypeReg || rank >= best {
			continue
		}
		text, err := readList(in)
		if err != nil {
			return l, false, fmt.Errorf("%s: %w", h.Name, err)
		}
		best, found = rank, true
		l = List{Name: path.Base(h.Name), From: file + ":" + h.Name, Text: text}
	}
}

// rankOf is the place of a member in the order of choice, 0 for the best, and
// at least len(dirs)*len(names) for one that is not wanted.
func rankOf(member string, dirs, names []string) int {
	for i, name := range names {
		for j, dir := range dirs {
			at := path.Join(dir, name)
			if strings.HasSuffix(member, "/"+at) && (dir != "." || strings.Count(member, "/") <= 2) {
				return i*len(dirs) + j
			}
		}
	}
	return len(dirs) * len(names)
}

func readList(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxList+1))
	if err == nil && len(b) > maxList {
		err = fmt.Errorf("it has more than %d bytes", maxList)
	}
	return string(b), err
}
