package engines

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMariaDBStartsAndComesBack(t *testing.T) {
	t.Parallel()
	Need(t, MariaDBPrograms()...)
	m, err := NewMariaDB(t.Context(), filepath.Join(t.TempDir(), "mariadb"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Stop() })
	if err := m.Restart(t.Context()); err != nil {
		t.Error(err)
	}
	if err := m.Crash(); err != nil {
		t.Error(err)
	}
	if m.greets() == nil {
		t.Error("it talks after a crash")
	}
	if err := m.Start(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPostgresStartsAndComesBack(t *testing.T) {
	t.Parallel()
	Need(t, PostgresPrograms()...)
	dir, err := PostgresDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p, err := NewPostgres(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop() })
	if err := p.Restart(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Crash(); err != nil {
		t.Error(err)
	}
	if p.ready(t.Context()) == nil {
		t.Error("it lets clients in after a crash")
	}
	if err := p.Start(t.Context()); err != nil {
		t.Error(err)
	}
}
