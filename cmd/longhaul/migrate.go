package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"longhaul/internal/daemon"
	"longhaul/internal/jobtracker"
	"longhaul/internal/loop"
)

func newMigrateCommand(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring the job-tracker to this program's version",
		Long: `Brings the job-tracker of an older version of Longhaul to that of this program,
after a backup beside it; make one of a job-tracker on a server with pg_dump
before. The daemons must not run meanwhile.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.migrate(cmd.Context()) },
	}
}

func (p *program) migrate(ctx context.Context) (err error) {
	c, err := p.config()
	if err != nil {
		return err
	}
	db := p.tracker(c)
	release, err := holdDaemons(ctx, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	path := c.Background.JobtrackerDB
	from, to, backup, err := jobtracker.Migrate(ctx, db)
	if backup != "" {
		fmt.Fprintln(p.stdout, "backup: "+backup)
	}
	if err != nil {
		return err
	}
	if from == to {
		_, err = fmt.Fprintf(p.stdout, "%s has version %d already; nothing was changed\n", path, to)
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s: from version %d to %d\nNext: start the daemons: systemctl start longhaul.target\n", path, from, to)
	return err
}

// holdDaemons takes the locks of all daemons, so that none can start.
func holdDaemons(ctx context.Context, db string) (release func() error, err error) {
	var locks []*jobtracker.Lock
	release = func() error {
		var errs []error
		for _, l := range locks {
			errs = append(errs, l.Unlock())
		}
		return errors.Join(errs...)
	}
	for _, kind := range daemon.Kinds() {
		lock, err := jobtracker.TryLock(ctx, db, kind)
		if errors.Is(err, loop.ErrLocked) {
			err = fmt.Errorf("the %s is running; stop the daemons first: systemctl stop longhaul.target (%w)", kind, err)
		}
		if err != nil {
			return nil, errors.Join(err, release())
		}
		locks = append(locks, lock)
	}
	return release, nil
}
