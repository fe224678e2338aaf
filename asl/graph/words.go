package graph

import (
	"fmt"
	"strings"

	"switchyard/asl"
)

// maxWords is how much of a machine is told in words, in bytes.
const maxWords = 8 << 10

// describe tells a machine in words, for those who cannot see the picture.
func describe(m *asl.Machine) string {
	var b strings.Builder
	describeGraph(&b, &m.Graph, "")
	if b.Len() > maxWords {
		text := b.String()[:maxWords]
		return text[:strings.LastIndexByte(text, '\n')+1] + "and so on."
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func describeGraph(b *strings.Builder, g *asl.Graph, within string) {
	fmt.Fprintf(b, "%sStarts at %s.\n", within, g.Start.Name)
	for _, s := range g.States {
		if b.Len() > maxWords {
			return
		}
		fmt.Fprintf(b, "%s%s (%s)", within, s.Name, caption(s))
		switch {
		case s.Next != nil:
			fmt.Fprintf(b, ", then %s", s.Next.Name)
		case s.End:
			b.WriteString(", then the end")
		}
		for _, t := range transitions(s) {
			word := "if "
			if t.class == caught {
				word = "on "
			}
			fmt.Fprintf(b, "; %s%s: %s", word, strings.Join(t.lines, " or "), t.to.Name)
		}
		b.WriteString(".\n")
		for i, inner := range s.Graphs() {
			where := "each item"
			if s.Parallel != nil {
				where = fmt.Sprintf("branch %d", i+1)
			}
			describeGraph(b, inner, fmt.Sprintf("In %s, %s: ", s.Name, where))
		}
	}
}
