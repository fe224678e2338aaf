package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"switchyard/asl/diff"
	"switchyard/asl/value"
)

func (c *cli) aslDiffCommand() *cobra.Command {
	var asJSON, strict bool
	var substitutions []string
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what a new definition changes for executions that are under way",
		Long: "Compares two definitions, in JSON or YAML: states that are added (+), removed (-),\n" +
			"renamed (>) or changed (~), with their transitions, choices, retriers, catchers and\n" +
			"fields. ! marks the states in which an execution could not go on by the new\n" +
			"definition. Executions that run keep the definition they were started with, on Step\n" +
			"Functions and here; the marks say which ones to let end, or to stop and start anew,\n" +
			"before the old one goes. One of OLD and NEW may be - for standard input.\n\n" +
			"Exits 0 when executions could go on in every state, 1 when in some they could not\n" +
			"or a definition cannot be used, 2 when it is called wrongly. With --strict any\n" +
			"difference exits 1.",
		Example: "  git show HEAD:deploy.asl.json | switchyard asl diff - deploy.asl.json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("want two arguments, the old definition and the new one, and not %d", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if args[0] == "-" && args[1] == "-" {
				return usagef("OLD and NEW cannot both be standard input")
			}
			var definitions [2]value.Value
			for i, name := range args {
				d, err := c.usableDefinition(name, substitutions)
				if err != nil {
					return err
				}
				if definitions[i], err = value.Parse([]byte(d.JSON)); err != nil {
					return fmt.Errorf("read definition %s: %w", name, err)
				}
			}
			d := diff.Compare(definitions[0], definitions[1])
			write := d.WriteText
			if asJSON {
				write = func(w io.Writer) error { return writeJSON(w, d) }
			}
			if err := write(c.stdout); err != nil {
				return err
			}
			if d.Stranded() > 0 || strict && !d.Same() {
				return silentError{}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit 1 on any difference")
	substituteFlag(cmd, &substitutions)
	return cmd
}
