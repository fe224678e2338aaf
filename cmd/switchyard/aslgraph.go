package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"switchyard/asl"
	"switchyard/asl/definition"
	"switchyard/asl/graph"
)

func (c *cli) aslGraphCommand() *cobra.Command {
	var format, out string
	var substitutions []string
	cmd := &cobra.Command{
		Use:   "graph FILE",
		Short: "Draw the states of a definition and how they follow one another",
		Long: "Draws a definition as an SVG picture or as a Mermaid flowchart. FILE may be - for\n" +
			"standard input. A picture is the same each time and follows the viewer's choice of\n" +
			"light or dark.",
		Example: "  switchyard asl graph deploy.asl.json -o deploy.svg\n" +
			"  switchyard asl graph deploy.asl.json --format mermaid",
		Args: oneArg("the file with the definition"),
		RunE: func(_ *cobra.Command, args []string) error {
			if format != "svg" && format != "mermaid" {
				return usagef("--format %q is not known: svg or mermaid", format)
			}
			m, err := c.parseDefinition(args[0], substitutions)
			if err != nil {
				return err
			}
			picture := []byte(graph.Mermaid(m))
			if format == "svg" {
				picture = graph.Layout(m).SVG(graph.SVGOptions{Title: machineName(args[0])})
			}
			if out == "" || out == "-" {
				_, err = c.stdout.Write(picture)
				return err
			}
			return writePicture(out, picture)
		},
	}
	cmd.Flags().StringVar(&format, "format", "svg", "svg or mermaid")
	cmd.Flags().StringVarP(&out, "output", "o", "", "`file` to write; standard output without it")
	substituteFlag(cmd, &substitutions)
	return cmd
}

// parseDefinition reads and parses a definition for people.
func (c *cli) parseDefinition(name string, substitutions []string) (*asl.Machine, error) {
	d, err := c.usableDefinition(name, substitutions)
	if err != nil {
		return nil, err
	}
	return asl.Parse([]byte(d.JSON))
}

// usableDefinition reads a definition for people: what is wrong with it is shown
// on standard error, each finding with its place.
func (c *cli) usableDefinition(name string, substitutions []string) (*definition.Definition, error) {
	values, err := substitutionsOf(substitutions)
	if err != nil {
		return nil, err
	}
	d, err := c.readDefinition(name, values)
	if err != nil {
		return nil, err
	}
	showFindings(c.stderr, name, d)
	if d.Failed() {
		return nil, silentError{}
	}
	return d, nil
}

// writePicture leaves a file alone that is the same already, so that what
// watches it has nothing to do.
func writePicture(path string, picture []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, picture) {
		return nil
	}
	if err := os.WriteFile(path, picture, 0o644); err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	return nil
}
