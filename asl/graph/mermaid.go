package graph

import (
	"fmt"
	"strings"

	"switchyard/asl"
	"switchyard/internal/safetext"
)

// Mermaid gives the machine as a flowchart in Mermaid's language
// (https://mermaid.js.org/syntax/flowchart.html), as READMEs show it.
func Mermaid(m *asl.Machine) string {
	w := &mermaidWriter{ids: map[*asl.State]string{}}
	w.b.WriteString("flowchart TB\n")
	w.graph(&m.Graph, "  ", "")
	if len(w.caught) > 0 {
		fmt.Fprintf(&w.b, "  linkStyle %s stroke:#c4281c\n", strings.Join(w.caught, ","))
	}
	return w.b.String()
}

type mermaidWriter struct {
	b      strings.Builder
	ids    map[*asl.State]string
	links  int
	caught []string // the numbers of the links that a Catch makes
}

// graph writes the states of a graph and then its transitions. The name of what
// is around it keeps apart the starts and ends of several.
func (w *mermaidWriter) graph(g *asl.Graph, indent, around string) {
	for _, s := range g.States {
		w.ids[s] = fmt.Sprintf("s%d", len(w.ids))
	}
	start, end := around+"start", around+"end_"
	fmt.Fprintf(&w.b, "%s%s((\" \"))\n", indent, start)
	ends := false
	for _, s := range g.States {
		w.state(s, indent)
		ends = ends || s.End
	}
	if ends {
		fmt.Fprintf(&w.b, "%s%s(((\" \")))\n", indent, end)
	}
	w.link(indent, start, w.ids[g.Start], "")
	for _, s := range g.States {
		switch {
		case s.Next != nil:
			w.link(indent, w.ids[s], w.ids[s.Next], "")
		case s.End:
			w.link(indent, w.ids[s], end, "")
		}
		for _, t := range transitions(s) {
			words := strings.Join(t.lines, " or ")
			if t.class == caught {
				w.caught = append(w.caught, fmt.Sprint(w.links))
				fmt.Fprintf(&w.b, "%s%s -. \"%s\" .-> %s\n", indent, w.ids[s], mermaidText(words), w.ids[t.to])
				w.links++
				continue
			}
			w.link(indent, w.ids[s], w.ids[t.to], words)
		}
	}
}

func (w *mermaidWriter) link(indent, from, to, words string) {
	w.links++
	if words != "" {
		fmt.Fprintf(&w.b, "%s%s -- \"%s\" --> %s\n", indent, from, mermaidText(words), to)
		return
	}
	fmt.Fprintf(&w.b, "%s%s --> %s\n", indent, from, to)
}

func (w *mermaidWriter) state(s *asl.State, indent string) {
	id := w.ids[s]
	if len(s.Graphs()) > 0 {
		fmt.Fprintf(&w.b, "%ssubgraph %s[\"%s: %s\"]\n", indent, id, s.Type, mermaidText(s.Name))
		for i, g := range s.Graphs() {
			inner := fmt.Sprintf("%s_%d", id, i)
			fmt.Fprintf(&w.b, "%s  subgraph %s[\" \"]\n", indent, inner)
			w.graph(g, indent+"    ", inner+"_")
			fmt.Fprintf(&w.b, "%s  end\n", indent)
		}
		fmt.Fprintf(&w.b, "%send\n", indent)
		return
	}
	open, shut := `["`, `"]`
	switch s.Type {
	case asl.TypeChoice:
		open, shut = `{{"`, `"}}`
	case asl.TypePass:
		open, shut = `[/"`, `"/]`
	case asl.TypeWait:
		open, shut = `>"`, `"]`
	case asl.TypeSucceed:
		open, shut = `(["`, `"])`
	case asl.TypeFail:
		open, shut = `[["`, `"]]`
	default:
	}
	fmt.Fprintf(&w.b, "%s%s%s%s%s\n", indent, id, open, mermaidText(s.Name), shut)
}

// maxMermaid is the longest text in a flowchart, in characters.
const maxMermaid = 80

// mermaidText makes any text fit between quotes: what has a meaning in Mermaid,
// Markdown or HTML is written as its number.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range safetext.Cut(safetext.Line(s), maxMermaid) {
		if strings.ContainsRune("\"#&<>`*_~\\;[]{}|", r) {
			fmt.Fprintf(&b, "#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
