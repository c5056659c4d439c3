package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"longhaul/internal/config"
)

func newCheckConfigCommand(p *program) *cobra.Command {
	var show, node bool
	cmd := &cobra.Command{
		Use:   "check-config",
		Short: "All mistakes of the configuration, each with its line",
		Long: `Checks the whole configuration against this host as a daemon would, secrets and
directories included, and prints all mistakes at once. Run it as the user that
the daemons run as. On a compute node, --node checks what jobs need there.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := p.checkConfig(node)
			if err != nil {
				return err
			}
			if show {
				return c.Show(p.stdout)
			}
			_, err = fmt.Fprintf(p.stdout, "%s is all right\n", p.configPath)
			return err
		},
	}
	cmd.Flags().BoolVar(&show, "show", false, "print what is in force, and where it comes from")
	cmd.Flags().BoolVar(&node, "node", false, "check what jobs need on this node")
	return cmd
}

func (p *program) checkConfig(node bool) (*config.Config, error) {
	if !node {
		return config.Load(p.configPath)
	}
	c, err := config.LoadFile(p.configPath)
	if err != nil {
		return nil, err
	}
	return c, c.CheckNode()
}
