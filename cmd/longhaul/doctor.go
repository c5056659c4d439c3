package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"longhaul/internal/config"
	"longhaul/internal/doctor"
	"longhaul/internal/jobtracker"
	"longhaul/internal/operator"
	"longhaul/internal/pipeline"
	"longhaul/internal/queue"
	"longhaul/internal/site"
)

// doctorFlags are the flags of doctor.
type doctorFlags struct {
	repair, release, deep, json bool
}

func newDoctorCommand(p *program) *cobra.Command {
	var flags doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for damage and differences, and repair what is safe",
		Long: `Reads the whole job-tracker for damage, follows the history of every row, and
compares the rows with the configuration, the disks, the queue manager and the
common database. Each difference is printed with its remedy. Nothing is changed.

--repair does what is marked so: only what loses nothing, with an event for each
change. It needs the daemons that could be at the same thing to be stopped, and
never deletes raw data or results. After 'longhaul restore-backup' it enters what
the job-tracker has forgotten; the daemons start only after that.

Exit status: 0 nothing is wrong, or all of it was repaired; 1 something is left.
Notes do not count: the daemons settle them by themselves.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.release && !flags.repair {
				return usagef("--release goes with --repair")
			}
			return p.doctor(cmd.Context(), flags)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&flags.repair, "repair", false, "repair what is safe")
	f.BoolVar(&flags.release, "release", false, "with --repair: let the daemons start on a restored job-tracker whatever is left")
	f.BoolVar(&flags.deep, "deep", false, "also read all raw data and the newest backup")
	f.BoolVar(&flags.json, "json", false, "for programs")
	return cmd
}

func (p *program) doctor(ctx context.Context, flags doctorFlags) error {
	c, err := p.config()
	if err != nil {
		return err
	}
	running := func(kind string) bool {
		if c.Background.OnServer() {
			return p.runsAnywhere(ctx, c, kind)
		}
		o := operator.Operator{Options: operator.Options{Config: c}}
		return o.Daemon(kind).State != operator.DaemonStopped
	}
	r, err := p.examine(ctx, c, flags, running)
	if err != nil {
		return err
	}
	if err := p.printReport(r, flags); err != nil {
		return err
	}
	if left := r.Left(); left > 0 {
		return fmt.Errorf("%s left", operator.Count(left, "finding"))
	}
	return nil
}

// runsAnywhere reports whether a daemon runs, or may run, on any host.
func (p *program) runsAnywhere(ctx context.Context, c *config.Config, kind string) bool {
	store, err := jobtracker.Open(ctx, p.tracker(c), jobtracker.Options{Actor: site.Operator()})
	if err != nil {
		return true
	}
	defer store.Close() // it was only asked
	_, held, err := store.Holder(ctx, kind)
	return held || err != nil
}

// examine opens the job-tracker and examines the site. A job-tracker that
// cannot be opened because it is damaged is a finding.
func (p *program) examine(ctx context.Context, c *config.Config, flags doctorFlags, running func(string) bool) (r doctor.Report, err error) {
	store, err := jobtracker.Open(ctx, p.tracker(c),
		jobtracker.Options{Actor: site.Operator(), Now: p.now, Wants: site.Wants(c.Email)})
	if errors.Is(err, pipeline.ErrFatal) {
		problems, examineErr := jobtracker.Examine(ctx, c.Background.JobtrackerDB)
		if examineErr != nil || len(problems) == 0 {
			return r, err // which says more: another version, or no job-tracker at all
		}
		return doctor.Report{At: p.now(), Findings: doctor.Damaged(c.Background.JobtrackerDB, problems)}, nil
	} else if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	outside := doctor.Options{
		Config: c, Store: store, Running: running, Now: p.now,
		Repair: flags.repair, Release: flags.release, Deep: flags.deep,
		Manager: func() (queue.Manager, error) {
			return site.QueueGuest(c, slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
		},
	}
	var closeDB func() error
	outside.CommonDB = func(ctx context.Context) (doctor.Database, error) {
		c, err := p.configWithSecrets()
		if err != nil {
			return nil, err
		}
		db, err := site.CommonDB(ctx, c)
		if err != nil {
			return nil, err
		}
		closeDB = db.Close
		return db, nil
	}
	d, err := doctor.New(outside)
	if err != nil {
		return r, err
	}
	defer func() {
		if closeDB != nil {
			err = errors.Join(err, closeDB())
		}
	}()
	return d.Run(ctx)
}

// mostFindings is how many findings of one check are printed for a person.
const mostFindings = 20

func (p *program) printReport(r doctor.Report, flags doctorFlags) error {
	if flags.json {
		if r.Findings == nil {
			r.Findings = []doctor.Finding{}
		}
		return writeJSON(p.stdout, r)
	}
	var out page
	printed := make(map[string]int)
	repaired := 0
	for _, f := range r.Findings {
		if f.Repaired {
			repaired++
		}
		if printed[f.Check]++; printed[f.Check] > mostFindings {
			continue
		}
		out.finding(f)
	}
	for _, f := range r.Findings {
		if n := printed[f.Check]; n > mostFindings {
			out.line("%s: %d more; all of them: longhaul doctor --json", f.Check, n-mostFindings)
			printed[f.Check] = 0
		}
	}
	if r.Released {
		out.line("The daemons may start: systemctl start longhaul.target")
	}
	switch left := r.Left(); {
	case len(r.Findings) == 0:
		out.line("Nothing is wrong.")
	case left == 0 && repaired == 0:
		out.line("Nothing is wrong that the daemons do not settle by themselves.")
	case repaired == 0:
		out.line("%s.", operator.Count(left, "finding"))
	default:
		out.line("%s repaired, %d left.", operator.Count(repaired, "finding"), left)
	}
	return out.writeTo(p.stdout)
}

func (p *page) finding(f doctor.Finding) {
	state := string(f.Severity)
	if f.Repaired {
		state = "repaired"
	}
	p.wrapped(fmt.Sprintf("%-9s", state), fmt.Sprintf("%s: %s: %s", f.Check, f.Where, f.What))
	if !f.Repaired {
		p.wrapped("          → ", f.Remedy)
	}
	if f.Trouble != "" {
		p.wrapped("          not repaired: ", f.Trouble)
	}
}
