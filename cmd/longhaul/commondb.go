package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"longhaul/internal/commondb"
	"longhaul/internal/site"
)

func newCommonDBCommand(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "commondb",
		Short: "Make the common database's tables, or look at all that uploads need of it",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCommonDBInitCommand(p), newCommonDBCheckCommand(p))
	return cmd
}

// commonDBInit are the flags of commondb init.
type commonDBInit struct {
	print        bool
	user         string // who is to upload
	admin        string // who makes the tables
	passwordFile string
}

func newCommonDBInitCommand(p *program) *cobra.Command {
	var f commonDBInit
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the tables of the common database, or bring them to this version",
		Long: `Makes the tables of the common database, or brings those of an older version to
this one. Tables that are right are left as they are.

The daemons need less than that: to insert and to read. So on a server make the
tables as another user than theirs, who owns them (--as), and grant the daemons'
user the rights that --print shows:

    longhaul commondb init --as owner --password-file owner.password
    longhaul commondb init --print

--print asks nothing of the server: its administrator can also run what it
prints, tables and rights.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.initCommonDB(cmd.Context(), f) },
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.print, "print", false, "print the SQL of tables and rights instead")
	fl.StringVar(&f.user, "user", "", "`user` who is to upload, for --print (default commondb.username)")
	fl.StringVar(&f.admin, "as", "", "`user` who makes the tables (default commondb.username)")
	fl.StringVar(&f.passwordFile, "password-file", "", "`file` with that user's password")
	cmd.MarkFlagsRequiredTogether("as", "password-file")
	cmd.MarkFlagsMutuallyExclusive("print", "as")
	return cmd
}

func (p *program) initCommonDB(ctx context.Context, f commonDBInit) error {
	c, err := p.configWithSecrets()
	if err != nil {
		return err
	}
	o := site.CommonDBOptions(c)
	if f.print {
		return p.printCommonDB(ctx, o, cmp.Or(f.user, o.Username))
	}
	if f.admin != "" {
		text, err := os.ReadFile(f.passwordFile)
		if err != nil {
			return err
		}
		o.Username, o.Password = f.admin, commondb.Password(strings.TrimRight(string(text), "\r\n"))
	}
	from, to, err := commondb.Migrate(ctx, o)
	if err != nil {
		return err
	}
	var out page
	switch from {
	case 0:
		out.line("common database %s: made, version %d", o, to)
	case to:
		out.line("common database %s: has version %d already, left as it is", o, to)
	default:
		out.line("common database %s: from version %d to %d", o, from, to)
	}
	out.line("Next: longhaul commondb check")
	return out.writeTo(p.stdout)
}

func (p *program) printCommonDB(ctx context.Context, o commondb.Options, user string) error {
	tables, grants, err := commondb.Script(ctx, o, user)
	if err != nil {
		return err
	}
	var out page
	out.line("-- The common database of Longhaul: %s.", o.Database)
	if o.Driver == commondb.MySQL {
		out.line("-- On MySQL itself, in place of MariaDB, write utf8mb4_0900_bin for utf8mb4_nopad_bin.")
	}
	for _, s := range tables {
		out.line("%s", terminated(s))
	}
	out.line("\n-- What the user who uploads needs, and no more.")
	for _, s := range grants {
		out.line("%s", terminated(s))
	}
	return out.writeTo(p.stdout)
}

// terminated ends a statement, in which the last thing may be its semicolon.
func terminated(statement string) string { return strings.TrimSuffix(statement, ";") + ";" }

func newCommonDBCheckCommand(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Look whether the common database has all that uploads need",
		Long: `Looks, with the daemons' settings, whether the common database can be reached, has
the tables and columns that uploads need, gives the user the rights, and keeps what
is committed; then writes an upload with a row of each kind, reads it back, and
rolls it back. Nothing stays.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.checkCommonDB(cmd.Context()) },
	}
}

func (p *program) checkCommonDB(ctx context.Context) (err error) {
	c, err := p.configWithSecrets()
	if err != nil {
		return err
	}
	db, err := commondb.Open(ctx, site.CommonDBOptions(c))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var out page
	bad := 0
	for _, f := range db.Inspect(ctx) {
		verdict := "ok  "
		if !f.OK {
			verdict = "FAIL"
			bad++
		}
		out.wrapped(fmt.Sprintf("%s  %-11s ", verdict, f.What), f.Detail)
	}
	if err := out.writeTo(p.stdout); err != nil {
		return err
	}
	if bad > 0 {
		return errors.New("uploads would not go through")
	}
	return nil
}
