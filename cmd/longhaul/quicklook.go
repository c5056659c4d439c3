package main

import (
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"longhaul/internal/quicklook"
)

func newQuicklookCommand(p *program) *cobra.Command {
	var outDir string
	cmd := &cobra.Command{
		Use:   "quicklook [FILE...]",
		Short: "Look at one observation: bandpass, bad channels, total power",
		Long: `Reads the PSRFITS files of one observation and writes a first look at them, as
plots, a table of channels, and results.json. As the command of a stage it takes
the files from DATAFILES (separated by ';') and the directory from OUTDIR.`,
		Example: `  longhaul quicklook -o /tmp/look 4bit-*.b1s0g0.00100.fits 4bit-*.b1s1g0.00100.fits`,
		RunE: func(cmd *cobra.Command, args []string) error {
			files := args
			if text := os.Getenv("DATAFILES"); len(files) == 0 && text != "" {
				files = strings.Split(text, ";")
			}
			if outDir == "" {
				outDir = os.Getenv("OUTDIR")
			}
			switch {
			case len(files) == 0:
				return usagef("name the files of an observation, or set DATAFILES")
			case outDir == "":
				return usagef("name the directory for the results with -o, or set OUTDIR")
			}
			return quicklook.Run(cmd.Context(), quicklook.Options{
				DataFiles: files, OutDir: outDir, Log: slog.New(slog.NewTextHandler(p.stdout, nil)),
			})
		},
	}
	cmd.Flags().StringVarP(&outDir, "output", "o", "", "`directory` for the results")
	return cmd
}
