package config

import (
	"slices"
	"testing"
)

func TestStagesAreFoundByNameAndByProduct(t *testing.T) {
	t.Parallel()
	cfg := parseGood(t, good+"[[stage]]\nname = 'second'\ninputs = ['wapp']\ncommand = ['x']\n", Env{})
	if s, ok := cfg.Stage("second"); !ok || s.Command[0] != "x" {
		t.Errorf("the second stage is %+v, %v", s, ok)
	}
	if s, ok := cfg.Stage("third"); ok {
		t.Errorf("there is a third stage %+v", s)
	}
	if got := cfg.StagesOf("wapp"); !slices.Equal(got, []string{"quicklook", "second"}) {
		t.Errorf("wapp is processed by %q", got)
	}
	if got := cfg.StagesOf("mock"); !slices.Equal(got, []string{"quicklook"}) {
		t.Errorf("mock is processed by %q", got)
	}
}

func TestDefaultPath(t *testing.T) {
	t.Setenv("LONGHAUL_CONFIG", "")
	if got := DefaultPath(); got != "/etc/longhaul/config.toml" {
		t.Errorf("the usual place is %s", got)
	}
	t.Setenv("LONGHAUL_CONFIG", "/other")
	if got := DefaultPath(); got != "/other" {
		t.Errorf("LONGHAUL_CONFIG leads to %s", got)
	}
}
