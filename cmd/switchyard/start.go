package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

func (c *cli) startCommand() *cobra.Command {
	var machine, input string
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start an execution by hand",
		Long: "Starts an execution with the input that a route would give it: a JSON object,\n" +
			"of which environment, commit and source are read if they are there. Prints the\n" +
			"execution's ID.",
		Example: `  switchyard start --state-machine deploy --input - <<'JSON'
  {"environment": "acceptance", "override_branches": {"api_v1": "hotfix/emergency_patch"}}
JSON`,
		Args: cobra.NoArgs,
	}
	flags := c.clientFlags(cmd)
	cmd.Flags().StringVar(&machine, "state-machine", "", "`name` under state_machines; not needed where there is one only")
	cmd.Flags().StringVar(&input, "input", "", "`file` with the input; - reads standard input (required)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		text, err := c.readInput(input)
		if err != nil {
			return err
		}
		client, err := c.client(cmd.Context(), flags)
		if err != nil {
			return err
		}
		id, err := client.Start(cmd.Context(), machine, text, caller())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(c.stdout, id)
		return err
	}
	return cmd
}

func (c *cli) readInput(file string) ([]byte, error) {
	switch file {
	case "":
		return nil, usagef("--input names no file; - reads standard input")
	case "-":
		text, err := io.ReadAll(io.LimitReader(c.stdin, 1<<20))
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return text, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--input: %w", err)
	}
	return text, nil
}
