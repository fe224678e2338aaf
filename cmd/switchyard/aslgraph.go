package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"switchyard/asl"
	"switchyard/asl/definition"
	"switchyard/asl/graph"
	"switchyard/dispatch"
	"switchyard/dispatch/api"
	"switchyard/ui/progress"
)

func (c *cli) aslGraphCommand() *cobra.Command {
	var format, out, execution string
	var substitutions []string
	cmd := &cobra.Command{
		Use:   "graph FILE",
		Short: "Draw the states of a definition and how they follow one another",
		Long: "Draws a definition as an SVG picture or as a Mermaid flowchart. FILE may be - for\n" +
			"standard input. A picture is the same each time and follows the viewer's choice of\n" +
			"light or dark. With --execution, states are lit by what an execution of a service\n" +
			"has made of them, in a picture or as text.",
		Example: "  switchyard asl graph deploy.asl.json -o deploy.svg\n" +
			"  switchyard asl graph deploy.asl.json --format mermaid\n" +
			"  switchyard asl graph deploy.asl.json --execution acme-api-0123456789ab-branches-0123456789abcdef --format text",
		Args: oneArg("the file with the definition"),
	}
	flags := c.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if format != "svg" && format != "mermaid" && format != "text" {
			return usagef("--format %q is not known: svg, mermaid or text", format)
		}
		if format == "mermaid" && execution != "" {
			return usagef("--execution lights up --format svg or text, not mermaid")
		}
		m, err := c.parseDefinition(args[0], substitutions)
		if err != nil {
			return err
		}
		var marks map[string]graph.Mark
		if execution != "" {
			client, err := c.client(cmd.Context(), flags)
			if err != nil {
				return err
			}
			if marks, err = marksOf(cmd.Context(), client, execution); err != nil {
				return err
			}
		}
		var picture []byte
		switch format {
		case "svg":
			picture = graph.Layout(m).SVG(graph.SVGOptions{Title: machineName(args[0]), Marks: marks})
		case "text":
			picture = []byte(graph.Text(m, marks))
		default:
			picture = []byte(graph.Mermaid(m))
		}
		if out == "" || out == "-" {
			_, err = c.stdout.Write(picture)
			return err
		}
		return writePicture(out, picture)
	}
	cmd.Flags().StringVar(&format, "format", "svg", "svg, mermaid or text")
	cmd.Flags().StringVar(&execution, "execution", "", "`ID` of an execution whose progress is shown")
	cmd.Flags().StringVarP(&out, "output", "o", "", "`file` to write; standard output without it")
	substituteFlag(cmd, &substitutions)
	return cmd
}

// maxMarkEvents is how many events of an execution, from the first on, light up its
// states.
const maxMarkEvents = 25_000

// marksOf asks a service what an execution has made of its states.
func marksOf(ctx context.Context, client *api.Client, id string) (map[string]graph.Mark, error) {
	x, err := client.Execution(ctx, id)
	if err != nil {
		return nil, err
	}
	var events []dispatch.HistoryEvent
	for after := int64(0); len(events) < maxMarkEvents; {
		page, err := client.History(ctx, id, dispatch.HistoryQuery{After: after, Limit: 1000})
		if err != nil {
			return nil, err
		}
		events = append(events, page.Events...)
		if after = page.Next; after == 0 {
			break
		}
	}
	return progress.Marks(progress.Of(events), x.State), nil
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
