package graph

import (
	_ "embed"
	"encoding/xml"
	"fmt"
	"strings"

	"switchyard/asl"
	"switchyard/internal/safetext"
)

// Status is what an execution has made of a state.
type Status string

// The statuses that pictures show, each with a sign and a colour of its own.
const (
	Running   Status = "running"
	Waiting   Status = "waiting" // for a time, a token or a slot
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Caught    Status = "caught" // failed, and its Catch went on
	Aborted   Status = "aborted"
)

// Mark is how a state of an execution stands.
type Mark struct {
	Status Status
	// Visits is how often the state was entered; from 2 on it is shown.
	Visits int
	// Items are those of a Map state; none are shown where Total is 0.
	Items Items
	// Detail is shown when one points at the state, an error for example.
	Detail string
}

// Items counts the iterations of a Map state.
type Items struct{ Total, Succeeded, Failed, Running int }

// SVGOptions say how a picture is written. The zero value is one that stands for
// itself.
type SVGOptions struct {
	// Title names the picture; without one it is "State machine".
	Title string
	// Marks light states up, by name.
	Marks map[string]Mark
	// IDPrefix begins all IDs, to keep apart several pictures on a page.
	IDPrefix string
	// NoStyle leaves out [Style], for pages that have it already.
	NoStyle bool
}

// Style is the style sheet of the pictures: everything below .asl-graph. Its
// colours follow the viewer's choice of light or dark.
//
//go:embed graph.css
var Style string

// StateID is the ID of a state's element in the picture, without the prefix:
// equal names have equal IDs.
func StateID(name string) string {
	var b strings.Builder
	b.WriteString("state-")
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}

// SVG writes the picture as one element, well-formed by itself. Each state is a
// g element with the ID of [StateID], the name in data-state, and the classes
// state, type-TYPE and, where there is a mark, is-STATUS. Lines have data-from
// and data-to, and the class caught for what a Catch leads to.
func (d *Drawing) SVG(o SVGOptions) []byte {
	w := &svgWriter{SVGOptions: o}
	if w.Title == "" {
		w.Title = "State machine"
	}
	p := escape(o.IDPrefix)
	w.put(`<svg xmlns="http://www.w3.org/2000/svg" class="asl-graph" role="img" aria-labelledby="%[1]stitle %[1]sdesc" viewBox="0 0 %[2]d %[3]d" width="%[2]d" height="%[3]d">`+"\n", p, d.width, d.height)
	w.put(`<title id="%stitle">%s</title>`+"\n", p, escape(w.Title))
	w.put(`<desc id="%sdesc">%s</desc>`+"\n", p, escape(describe(d.machine)))
	if !o.NoStyle {
		w.put("<style>%s</style>\n", Style)
	}
	w.put("<defs>")
	for _, c := range []string{"flow", "caught"} {
		w.put(`<marker id="%sarrow-%s" class="arrow %[2]s" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0.8 10 5 0 9.2z"/></marker>`, p, c)
	}
	w.put("</defs>\n")
	w.put(`<rect class="ground" width="%d" height="%d"/>`+"\n", d.width, d.height)
	w.level(d.root)
	w.put("</svg>\n")
	return []byte(w.b.String())
}

type svgWriter struct {
	SVGOptions
	b strings.Builder
}

func (w *svgWriter) put(format string, args ...any) { fmt.Fprintf(&w.b, format, args...) }

// escape makes any text fit for an element or attribute.
func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(safetext.Block(s))) //nolint:errcheck // a Builder takes everything
	return b.String()
}

func (w *svgWriter) level(l *level) {
	w.lines(l)
	for _, it := range l.items {
		switch it.kind {
		case kindStart:
			w.put(`<circle class="start" cx="%d" cy="%d" r="%d"><title>Start</title></circle>`+"\n", it.x, it.y+it.height/2, it.height/2-1)
		case kindEnd:
			w.put(`<g class="end"><title>End</title><circle cx="%d" cy="%d" r="%d"/><circle class="dot" cx="%[1]d" cy="%[2]d" r="%[4]d"/></g>`+"\n", it.x, it.y+it.height/2, it.height/2-1, it.height/2-4)
		case kindState:
			w.state(it)
		case kindLabel:
			w.label(it)
		case kindBend, kindTurn:
		}
	}
}

func (w *svgWriter) label(it *item) {
	lb := it.label
	class := "label"
	if lb.class == caught {
		class = "label caught"
	}
	w.put(`<g class="%s"><title>%s</title><rect x="%d" y="%d" width="%d" height="%d" rx="4"/>`, class, escape(lb.whole), it.left(), it.y, it.width, it.height)
	for i, line := range lb.lines {
		w.put(`<text x="%d" y="%d">%s</text>`, it.x, it.y+14+i*labelHeight, escape(line))
	}
	w.put("</g>\n")
}

func (w *svgWriter) state(it *item) {
	s := it.state
	mark, marked := w.Marks[s.Name]
	class := "state type-" + strings.ToLower(string(s.Type))
	if marked && mark.Status != "" {
		class += " is-" + string(mark.Status)
	}
	w.put(`<g id="%s%s" class="%s" data-state="%s">`, escape(w.IDPrefix), StateID(s.Name), escape(class), escape(s.Name))
	w.put("<title>%s</title>", escape(hint(s, mark)))
	w.shape(it)
	y := it.y
	w.put(`<text class="caption" x="%d" y="%d">%s</text>`, it.x, y+18, escape(cut(caption(s), captionFont, maxText)))
	w.put(`<text class="name" x="%d" y="%d">%s</text>`, it.x, y+35, escape(cut(s.Name, nameFont, maxText)))
	if n := attempts(s); n > 0 {
		w.put(`<text class="retry" x="%d" y="%d">↻%d</text>`, it.right()-12, y+18, n)
	}
	if len(it.inner) > 0 {
		for i, l := range it.inner {
			if i > 0 {
				x := l.x - branchGap/2
				w.put(`<path class="divider" d="M%d %dV%d"/>`, x, y+headHeight, it.bottom()-innerPadding)
			}
		}
		w.put("\n")
		for _, l := range it.inner {
			w.level(l)
		}
	}
	w.mark(it, mark)
	w.put("</g>\n")
}

// mark shows what an execution made of the state.
func (w *svgWriter) mark(it *item, m Mark) {
	if m.Visits > 1 {
		text := fmt.Sprintf("×%d", m.Visits)
		width := textWidth(text, captionFont) + 8
		w.put(`<g class="visits"><rect x="%d" y="%d" width="%d" height="16" rx="8"/><text x="%d" y="%d">%s</text></g>`,
			it.right()-width, it.bottom()-9, width, it.right()-width/2, it.bottom()+3, text)
	}
	if n := m.Items; n.Total > 0 {
		text := fmt.Sprintf("%d of %d done", n.Succeeded+n.Failed, n.Total)
		if n.Failed > 0 {
			text += fmt.Sprintf(", %d failed", n.Failed)
		}
		if n.Running > 0 {
			text += fmt.Sprintf(", %d running", n.Running)
		}
		w.put(`<text class="items" x="%d" y="%d">%s</text>`, it.x, it.bottom()-9, cut(text, captionFont, it.width-2*innerPadding))
	}
	if sign := signs[m.Status]; sign != "" {
		w.put(`<g class="badge" transform="translate(%d %d)"><circle r="9"/><path d="%s"/></g>`, it.right()-5, it.y+3, sign)
	}
}

// signs are drawn within a circle of radius 9 around 0 0.
var signs = map[Status]string{
	Running:   "M-2.5-4 4 0-2.5 4z",
	Waiting:   "M-2-3.5V3.5M2-3.5V3.5",
	Succeeded: "M-4 .5-1 3.5 4-3",
	Failed:    "M-3-3 3 3M3-3-3 3",
	Caught:    "M0-4.5V1M0 3.4V4",
	Aborted:   "M-3-3H3V3H-3z",
}

// hint is shown when one points at a state.
func hint(s *asl.State, m Mark) string {
	parts := []string{s.Name, caption(s)}
	if s.Comment != "" {
		parts = append(parts, s.Comment)
	}
	for i := range s.Retry {
		r := &s.Retry[i]
		parts = append(parts, fmt.Sprintf("Retry on %s: %d times, first after %v", strings.Join(r.ErrorEquals, ", "), r.MaxAttempts, r.Interval))
	}
	if m.Status != "" {
		parts = append(parts, string(m.Status))
	}
	if m.Detail != "" {
		parts = append(parts, m.Detail)
	}
	return strings.Join(parts, "\n")
}
