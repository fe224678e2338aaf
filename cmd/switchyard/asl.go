package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"switchyard/asl/definition"
	"switchyard/internal/safetext"
)

func (c *cli) aslCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "asl", Short: "Work with definitions in Amazon States Language"}
	cmd.AddCommand(c.aslValidateCommand(), c.aslRunCommand(), c.aslEvalCommand(), c.aslGraphCommand(), c.aslTestCommand(), c.aslDiffCommand())
	return cmd
}

func (c *cli) aslValidateCommand() *cobra.Command {
	var substitutions []string
	cmd := &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check definitions as Step Functions does at creation",
		Long: "Checks definitions, in JSON or YAML, and prints each finding as file:line:column.\n" +
			"Exits 1 when one of them is an error. FILE may be - for standard input.",
		Example: "  switchyard asl validate deploy.asl.yaml --substitute NotifyFunction=arn:aws:lambda:eu-west-1:123456789012:function:notify",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			values, err := substitutionsOf(substitutions)
			if err != nil {
				return err
			}
			failed := false
			for _, name := range args {
				d, err := c.readDefinition(name, values)
				if err != nil {
					return err
				}
				showFindings(c.stdout, name, d)
				failed = failed || d.Wrong()
			}
			if failed {
				return silentError{}
			}
			return nil
		},
	}
	substituteFlag(cmd, &substitutions)
	return cmd
}

func substituteFlag(cmd *cobra.Command, into *[]string) {
	cmd.Flags().StringArrayVar(into, "substitute", nil, "`NAME=VALUE` for the placeholder ${NAME} in the definition; may be given several times")
}

// substitutionsOf reads NAME=VALUE texts.
func substitutionsOf(texts []string) (map[string]string, error) {
	values := make(map[string]string, len(texts))
	for _, text := range texts {
		name, v, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usagef("--substitute %q is not NAME=VALUE", text)
		}
		values[name] = v
	}
	return values, nil
}

// showFindings prints what is wrong with a definition.
func showFindings(w io.Writer, name string, d *definition.Definition) {
	for _, f := range d.Findings {
		fmt.Fprintln(w, safetext.Line(f.Format(name)))
	}
}

// maxDefinition is Step Functions' limit on a definition, in bytes.
const maxDefinition = 1 << 20

func (c *cli) readDefinition(name string, substitutions map[string]string) (*definition.Definition, error) {
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
	if len(text) > maxDefinition {
		return nil, fmt.Errorf("read definition %s: it is larger than %d bytes, Step Functions' limit", name, maxDefinition)
	}
	return definition.Read(name, text, substitutions), nil
}
