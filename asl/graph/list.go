package graph

import (
	"fmt"
	"strings"

	"switchyard/asl"
	"switchyard/internal/safetext"
)

// Text lists a machine for a terminal: a line for each state, in the order of the
// definition, with what an execution made of it and where it leads. What is in a
// Parallel or Map is indented below it.
func Text(m *asl.Machine, marks map[string]Mark) string {
	var b strings.Builder
	listGraph(&b, &m.Graph, marks, 0)
	return b.String()
}

// listSigns begin the lines of states, by status.
var listSigns = map[Status]string{Running: ">", Waiting: "=", Succeeded: "+", Failed: "x", Caught: "!", Aborted: "-"}

func listGraph(b *strings.Builder, g *asl.Graph, marks map[string]Mark, depth int) {
	for _, s := range g.States {
		mark := marks[s.Name]
		sign := listSigns[mark.Status]
		if sign == "" {
			sign = " "
		}
		fmt.Fprintf(b, "%s%s %s (%s)", strings.Repeat("  ", depth), sign, safetext.Line(s.Name), safetext.Line(caption(s)))
		if said := standing(mark); said != "" {
			b.WriteString(" " + said)
		}
		if s == g.Start {
			b.WriteString(", first")
		}
		switch {
		case s.Next != nil:
			fmt.Fprintf(b, " -> %s", safetext.Line(s.Next.Name))
		case s.End:
			b.WriteString(" -> end")
		}
		for _, t := range transitions(s) {
			when := "if " + strings.Join(t.lines, " or ")
			switch {
			case t.class == caught:
				when = "on " + strings.Join(t.lines, " or ")
			case len(t.lines) == 1 && s.Choice != nil && s.Choice.Default == t.to && t.lines[0] == "Default":
				when = "otherwise"
			}
			fmt.Fprintf(b, "; %s -> %s", safetext.Line(when), safetext.Line(t.to.Name))
		}
		b.WriteByte('\n')
		if mark.Detail != "" {
			fmt.Fprintf(b, "%s    %s\n", strings.Repeat("  ", depth), safetext.Cut(safetext.Line(mark.Detail), maxListDetail))
		}
		for i, inner := range s.Graphs() {
			if s.Parallel != nil {
				fmt.Fprintf(b, "%s  branch %d\n", strings.Repeat("  ", depth+1), i+1)
			}
			listGraph(b, inner, marks, depth+2)
		}
	}
}

// maxListDetail is how many characters of an error a list shows.
const maxListDetail = 120

// standing says what an execution made of a state, "" for nothing.
func standing(m Mark) string {
	said := string(m.Status)
	if m.Visits > 1 {
		said += fmt.Sprintf(" x%d", m.Visits)
	}
	if n := m.Items; n.Total > 0 {
		said += fmt.Sprintf(", %d of %d items done", n.Succeeded+n.Failed, n.Total)
		if n.Failed > 0 {
			said += fmt.Sprintf(", %d failed", n.Failed)
		}
	}
	if said == "" {
		return ""
	}
	return "[" + said + "]"
}
