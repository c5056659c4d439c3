package local

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"longhaul/internal/queue"
)

var _ queue.Lister = (*Manager)(nil)

// List implements queue.Lister. The spool is locked while names are read, not
// while records are: there may be many that have ended.
func (m *Manager) List(ctx context.Context, skip func(name string) bool) ([]queue.Listed, error) {
	var names []string
	err := m.do(ctx, "list", func() error {
		if err := m.advance(); err != nil {
			return err
		}
		live, err := m.live()
		if err != nil {
			return err
		}
		names, err = readNames(filepath.Join(m.dir, endedDir))
		for name := range live {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var all []queue.Listed
	for _, name := range names {
		if !queue.ValidName(name) || skip(name) {
			continue
		}
		l, err := m.listed(ctx, name)
		if errors.Is(err, queue.ErrUnknown) {
			continue // pruned just now
		} else if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

func (m *Manager) listed(ctx context.Context, name string) (queue.Listed, error) {
	l := queue.Listed{ID: name, Name: name}
	err := m.do(ctx, "list "+name, func() error {
		p, err := m.find(name)
		if err != nil {
			return err
		}
		spec, err := readRecord[specRecord](p.dir, specFile)
		if err != nil && !errors.Is(err, errDamaged) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		l.Submitted, l.Command = spec.Submitted, plain(spec.Command)
		l.Env = make(map[string]string, len(spec.Env))
		for _, pair := range spec.Env {
			key, value, _ := strings.Cut(string(pair), "=")
			l.Env[key] = value
		}
		l.State, err = m.state(p)
		return err
	})
	return l, err
}
