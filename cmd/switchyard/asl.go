package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"switchyard/asl"
	"switchyard/internal/safetext"
)

func (c *cli) aslCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "asl", Short: "Work with definitions in Amazon States Language"}
	cmd.AddCommand(c.aslValidateCommand(), c.aslRunCommand(), c.aslGraphCommand())
	return cmd
}

func (c *cli) aslValidateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check definitions as Step Functions does at creation",
		Long:  "Checks definitions and prints each finding as file:line:column. Exits 1 when one\nof them is an error. FILE may be - for standard input.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			failed := false
			for _, name := range args {
				text, err := c.readDefinition(name)
				if err != nil {
					return err
				}
				for _, d := range asl.Validate(text) {
					failed = failed || d.Severity == asl.SeverityError
					fmt.Fprintln(c.stdout, safetext.Line(d.Format(name)))
				}
			}
			if failed {
				return silentError{}
			}
			return nil
		},
	}
}

// maxDefinition is Step Functions' limit on a definition, in bytes; a little
// more is read, so that the validation can say that it is too large.
const maxDefinition = 1 << 20

func (c *cli) readDefinition(name string) ([]byte, error) {
	in := c.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read definition: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxDefinition+1))
	if err != nil {
		return nil, fmt.Errorf("read definition %s: %w", name, err)
	}
	return text, nil
}
