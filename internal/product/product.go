// Package product recognises raw data files by their names, says which of them
// belong together, and when such a group is complete.
//
// It looks at names only; a file's content is the business of the stage that
// processes it.
package product

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"longhaul/internal/config"
)

// Set is the products of a survey, in the order of the configuration.
type Set struct{ products []compiled }

type compiled struct {
	config.Product
	pattern *regexp.Regexp
}

// New compiles the products of the configuration.
func New(products []config.Product) (*Set, error) {
	s := &Set{}
	for _, p := range products {
		re, err := regexp.Compile(p.Pattern)
		if err != nil {
			return nil, fmt.Errorf("product %s: %w", p.Name, err)
		}
		s.products = append(s.products, compiled{p, re})
	}
	return s, nil
}

// Match is what a file's name says about it.
type Match struct {
	Product  string
	GroupKey string            // the group_by values joined by "/", which no name contains
	Metadata map[string]string // all named groups of the pattern
	// Ignored is why a recognised file is left alone; empty if it is wanted.
	Ignored string
}

// Recognise finds the first product whose pattern a file name fits; ok is
// false if there is none.
func (s *Set) Recognise(filename string) (m Match, ok bool) {
	for _, p := range s.products {
		sub := p.pattern.FindStringSubmatch(filename)
		if sub == nil {
			continue
		}
		m := Match{Product: p.Name, Metadata: make(map[string]string)}
		for i, name := range p.pattern.SubexpNames() {
			if name != "" {
				m.Metadata[name] = sub[i]
			}
		}
		values := make([]string, len(p.GroupBy))
		for i, name := range p.GroupBy {
			values[i] = m.Metadata[name]
		}
		m.GroupKey = strings.Join(values, "/")
		m.Ignored = p.ignores(m.Metadata)
		return m, true
	}
	return Match{}, false
}

func (p compiled) ignores(meta map[string]string) string {
	for name, values := range p.Ignore {
		if slices.Contains(values, meta[name]) {
			return fmt.Sprintf("%s %s of product %s is ignored", name, meta[name], p.Name)
		}
	}
	return ""
}

// find returns the product of a name; nil if the configuration has it no more.
func (s *Set) find(name string) *compiled {
	for i := range s.products {
		if s.products[i].Name == name {
			return &s.products[i]
		}
	}
	return nil
}
