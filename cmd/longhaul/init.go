package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"longhaul/internal/commondb"
	"longhaul/internal/jobtracker"
	"longhaul/internal/site"
)

func newInitCommand(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Make the job-tracker, and the common database if it is a file here",
		Long: `Makes the job-tracker (background.jobtracker_db) and, if commondb.driver is
"sqlite", the common database. What exists is left as it is.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.makeDatabases(cmd.Context()) },
	}
}

func (p *program) makeDatabases(ctx context.Context) error {
	c, err := p.config()
	if err != nil {
		return err
	}
	path := c.Background.JobtrackerDB
	made, err := jobtracker.Create(ctx, p.tracker(c))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; make its directory first: install -d -m 0750 %s", err, filepath.Dir(path))
	} else if err != nil {
		return err
	}
	var out page
	out.line("job-tracker %s: %s", path, madeOrNot(made))
	if c.CommonDB.Driver == "sqlite" {
		made, err := commondb.Init(ctx, site.CommonDBOptions(c))
		if err != nil {
			return errors.Join(err, out.writeTo(p.stdout))
		}
		out.line("common database %s: %s", c.CommonDB.Database, madeOrNot(made))
	}
	out.line("Next: longhaul check-config, then longhaul preflight")
	return out.writeTo(p.stdout)
}

func madeOrNot(made bool) string {
	if made {
		return "made"
	}
	return "exists already, left as it is"
}
