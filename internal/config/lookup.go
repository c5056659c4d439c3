package config

import (
	"os"
	"slices"
)

// Stage returns the stage of a name.
func (c *Config) Stage(name string) (Stage, bool) {
	for _, s := range c.Stages {
		if s.Name == name {
			return s, true
		}
	}
	return Stage{}, false
}

// StagesOf returns the names of the stages that process a product, in order.
func (c *Config) StagesOf(product string) []string {
	var names []string
	for _, s := range c.Stages {
		if slices.Contains(s.Inputs, product) {
			names = append(names, s.Name)
		}
	}
	return names
}

// DefaultPath is where the configuration is unless a command line says
// otherwise: $LONGHAUL_CONFIG, or the usual place.
func DefaultPath() string {
	if path := os.Getenv("LONGHAUL_CONFIG"); path != "" {
		return path
	}
	return "/etc/longhaul/config.toml"
}
