package main

import (
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"longhaul/internal/demo"
	"longhaul/internal/quicklook"
)

// The demo's survey: how large it is, and how long it may take.
const (
	demoBeams    = 3
	mostBeams    = 500
	demoPatience = time.Minute // for a survey of the usual size
	perBeam      = 2 * time.Second
	// A batch system starts a job when it pleases, and may be restarted meanwhile.
	clusterPatience = 5
)

func newDemoCommand(p *program) *cobra.Command {
	opt := demo.Options{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Process a made-up survey from end to end, and check it",
		Long: `Makes up a small survey and processes it with real parts: an archive with a
restore service over HTTP and a file server over FTP and TLS, a mail server, the
three daemons and the jobs as processes, PSRFITS observations. Everything listens
on 127.0.0.1 and is kept in one directory, which is removed when all went well.

The archive misbehaves: one transfer is cut, one corrupted, one file is gone; one
job fails once, one always. At the end what came out is compared with what was
made up. A demo that was interrupted goes on with --dir.

With --queue and --commondb it uses a batch system and a database server of
yours, which it finds as their own clients do: by SLURM_CONF or SGE_ROOT; by
PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, or MYSQL_HOST, MYSQL_TCP_PORT,
MYSQL_USER, MYSQL_PWD, MYSQL_DATABASE. The database must be empty.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if opt.Beams < 1 || opt.Beams > mostBeams {
				return usagef("--beams is %d; it must be from 1 to %d", opt.Beams, mostBeams)
			}
			if !slices.Contains(demo.Queues(), opt.Queue) {
				return usagef("--queue is %q; it must be one of %s", opt.Queue, strings.Join(demo.Queues(), ", "))
			}
			if !slices.Contains(demo.CommonDBs(), opt.CommonDB) {
				return usagef("--commondb is %q; it must be one of %s", opt.CommonDB, strings.Join(demo.CommonDBs(), ", "))
			}
			if opt.Self, err = os.Executable(); err != nil {
				return err
			}
			opt.Progress = p.stderr
			opt.Timeout = demoPatience + time.Duration(opt.Beams)*perBeam
			if opt.Queue != "local" {
				opt.Timeout *= clusterPatience
			}
			report, err := demo.Run(cmd.Context(), opt)
			if err != nil {
				return err
			}
			write := report.WriteText
			if asJSON {
				write = report.WriteJSON
			}
			if err := write(p.stdout); err != nil {
				return err
			}
			if !report.OK {
				return errors.New("the demo found something wrong")
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVar(&opt.Beams, "beams", demoBeams, "good Mock observations in the survey, beside one of each other kind")
	f.StringVar(&opt.Dir, "dir", "", "`directory` for everything; one of an earlier demo is gone on with")
	f.BoolVar(&opt.Keep, "keep", false, "leave the temporary directory behind")
	f.StringVar(&opt.Queue, "queue", "local", "queue `manager`: "+strings.Join(demo.Queues(), ", "))
	f.StringVar(&opt.CommonDB, "commondb", "sqlite", "kind of common `database`: "+strings.Join(demo.CommonDBs(), ", "))
	f.BoolVar(&asJSON, "json", false, "print the report as one JSON object")
	return cmd
}

// newDemoStageCommand is the command of the demo's stage: a quicklook that
// fails when the demo's plan says so.
func newDemoStageCommand(p *program) *cobra.Command {
	return &cobra.Command{
		Use:    "demo-stage",
		Short:  "The command of the demo's stage",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			files := os.Getenv("DATAFILES")
			if err := demo.FailAsPlanned(os.Getenv("DEMO_DIR"), os.Getenv("LONGHAUL_SUBMIT"), files); err != nil {
				return err
			}
			return quicklook.Run(cmd.Context(), quicklook.Options{
				DataFiles: strings.Split(files, ";"), OutDir: os.Getenv("OUTDIR"),
				Log: slog.New(slog.NewTextHandler(p.stdout, nil)),
			})
		},
	}
}
