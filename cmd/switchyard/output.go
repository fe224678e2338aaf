package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/lipgloss/table"
	"golang.org/x/term"

	"switchyard/config"
	"switchyard/internal/safetext"
)

// output writes for people: colour and drawn tables on a terminal, plain text
// otherwise. NO_COLOR (no-color.org) and TERM=dumb turn colour off.
//
// Text from outside is escaped by table; what a caller writes by itself, it
// escapes by safetext.
type output struct {
	io.Writer
	terminal bool
	colour   bool
	render   *lipgloss.Renderer
}

func newOutput(w io.Writer, env config.Env) *output {
	o := &output{Writer: w, terminal: isTerminal(w), render: lipgloss.NewRenderer(w)}
	o.colour = wantsColour(o.terminal, env)
	return o
}

func wantsColour(terminal bool, env config.Env) bool {
	noColour, _ := env("NO_COLOR")
	kind, _ := env("TERM")
	return terminal && noColour == "" && kind != "dumb"
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// The 16 colours that every terminal lets its user choose.
func (o *output) good(s string) string { return o.paint(s, "2", false) }
func (o *output) bad(s string) string  { return o.paint(s, "1", true) }
func (o *output) warn(s string) string { return o.paint(s, "3", false) }
func (o *output) dim(s string) string  { return o.paint(s, "8", false) }
func (o *output) bold(s string) string { return o.paint(s, "", true) }

func (o *output) paint(s, colour string, bold bool) string {
	if !o.colour {
		return s
	}
	style := o.render.NewStyle().Bold(bold)
	if colour != "" {
		style = style.Foreground(lipgloss.Color(colour))
	}
	return style.Render(s)
}

// table writes rows under their headings, every cell on one line and escaped.
func (o *output) table(headings []string, rows [][]string) error {
	safe := make([][]string, len(rows))
	for i, row := range rows {
		safe[i] = make([]string, len(row))
		for j, cell := range row {
			safe[i][j] = safetext.Line(cell)
		}
	}
	if !o.terminal {
		w := tabwriter.NewWriter(o, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, strings.ToUpper(strings.Join(headings, "\t")))
		for _, row := range safe {
			fmt.Fprintln(w, strings.Join(row, "\t"))
		}
		return w.Flush()
	}
	cell := o.render.NewStyle().Padding(0, 1)
	t := table.New().Headers(headings...).Rows(safe...).Border(lipgloss.RoundedBorder()).
		StyleFunc(func(row, _ int) lipgloss.Style { return cell.Bold(o.colour && row == table.HeaderRow) })
	if o.colour {
		t.BorderStyle(o.render.NewStyle().Foreground(lipgloss.Color("8")))
	}
	_, err := fmt.Fprintln(o, t.Render())
	return err
}

// writeJSON writes v indented, for scripts and for eyes: what is not printable
// is written as its \u escape.
func writeJSON(w io.Writer, v any) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	_, err := w.Write(safetext.JSON([]byte(b.String())))
	return err
}
