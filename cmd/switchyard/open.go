package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (c *cli) openCommand() *cobra.Command {
	var person string
	var viewer bool
	cmd := &cobra.Command{
		Use:   "open",
		Short: "Print a link that signs in to the dashboard",
		Long: "Prints the address of the dashboard's page on which whoever has the link signs in,\n" +
			"once, within ten minutes. It lets one act as you do; with --viewer, only read.\n" +
			"Send it to nobody else.",
		Example: "  switchyard open\n  switchyard open --viewer --as ada",
		Args:    cobra.NoArgs,
	}
	flags := c.clientFlags(cmd)
	cmd.Flags().StringVar(&person, "as", "", "`name` under which what is done there is recorded; default: the user's")
	cmd.Flags().BoolVar(&viewer, "viewer", false, "only to read")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client(cmd.Context(), flags)
		if err != nil {
			return err
		}
		if person == "" {
			person = caller()
		}
		role := "operator"
		if viewer {
			role = "viewer"
		}
		link, err := client.SignInLink(cmd.Context(), person, role)
		if err == nil {
			_, err = fmt.Fprintln(c.stdout, link.Link)
		}
		return err
	}
	return cmd
}
