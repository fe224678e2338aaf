// Package graph draws state machines: as a scalable picture of their states
// and transitions, and as a flowchart in Mermaid's language.
//
// [Layout] places everything and needs no more than the machine, so that a
// picture is the same each time; [Drawing.SVG] writes it, with the states lit as
// the caller says. A Parallel state is drawn around its branches and a Map state
// around its processor.
//
// The layout is layered, after Sugiyama, Tagawa and Toda, "Methods for visual
// understanding of hierarchical system structures" (1981): states get ranks from
// the start downwards, ranks are ordered so that few lines cross, coordinates
// come from the network simplex method, and lines run at right angles in the
// gaps between ranks. Lines into the same state share their way.
package graph

import (
	"strings"

	"switchyard/asl"
)

// Drawing is a state machine whose states have their places. It does not
// change and is safe for concurrent use.
type Drawing struct {
	machine *asl.Machine
	root    *level
	// width and height are in the units of the picture, pixels.
	width, height int
}

// margin is what is left free around a picture.
const margin = 16

// Layout places the states of a machine.
func Layout(m *asl.Machine) *Drawing {
	root := newLevel(&m.Graph, 0)
	root.layout()
	root.moveTo(margin, margin)
	return &Drawing{machine: m, root: root, width: root.width + 2*margin, height: root.height + 2*margin}
}

// level is one graph: the machine's, that of a branch or of a Map's processor.
type level struct {
	graph *asl.Graph
	depth int
	// items are what takes up room, in the order of the definition: start, states
	// and end first, then labels and bends.
	items []*item
	edges []*edge
	ranks [][]*item
	// gaps are the spaces between the ranks: gaps[0] is below ranks[0].
	gaps []gap
	// x and y are the upper left corner in the picture.
	x, y, width, height int
}

// kind says what an item is.
type kind uint8

const (
	kindStart kind = iota
	kindEnd
	kindState
	kindLabel
	// kindBend is where a line passes through a rank.
	kindBend
	// kindTurn is the room in the next rank for a line that turns around in the
	// gap before it. Nothing is drawn there.
	kindTurn
)

// item is a box in a rank.
type item struct {
	kind  kind
	state *asl.State
	label label
	inner []*level

	width, height int
	rank, order   int
	// x is the middle and y the upper edge, in the picture.
	x, y int
	out  []*edge
	// up and down are the neighbours in the ranks above and below.
	up, down []*link
}

func (it *item) left() int   { return it.x - it.width/2 }
func (it *item) right() int  { return it.x + it.width/2 }
func (it *item) bottom() int { return it.y + it.height }

// class tells the transitions after success from those after an error.
type class uint8

const (
	flow class = iota
	caught
)

// edge is a transition, or several between the same two states.
type edge struct {
	from, to *item
	class    class
	// label is nil for a transition that needs no words.
	label *item
	// back is a transition to a state from which this one is reached.
	back  bool
	bends []*item
	// leaves and enters say where the line meets its states.
	leaves, enters *link
	// points are the corners of the line, from its beginning to its end.
	points []point
}

// last is the item of the line before its bends.
func (e *edge) last() *item {
	if e.label != nil {
		return e.label
	}
	return e.from
}

type point struct{ x, y int }

// newLevel lists what is drawn of a graph, with its sizes.
func newLevel(g *asl.Graph, depth int) *level {
	l := &level{graph: g, depth: depth}
	size := 22
	if depth > 0 {
		size = 12
	}
	start := &item{kind: kindStart, width: size, height: size}
	l.items = append(l.items, start)
	byState := make(map[*asl.State]*item, len(g.States))
	ends := false
	for _, s := range g.States {
		it := newStateItem(s, depth)
		byState[s] = it
		l.items = append(l.items, it)
		ends = ends || s.End
	}
	end := &item{kind: kindEnd, width: size, height: size}
	if ends {
		l.items = append(l.items, end)
	}
	l.connect(start, byState[g.Start], flow, nil)
	for _, s := range g.States {
		from := byState[s]
		switch {
		case s.Next != nil:
			l.connect(from, byState[s.Next], flow, nil)
		case s.End:
			l.connect(from, end, flow, nil)
		}
		for _, t := range transitions(s) {
			l.connect(from, byState[t.to], t.class, t.lines)
		}
	}
	return l
}

func (l *level) connect(from, to *item, c class, words []string) {
	e := &edge{from: from, to: to, class: c}
	if words != nil {
		e.label = newLabel(words, c)
		l.items = append(l.items, e.label)
	}
	l.edges = append(l.edges, e)
	from.out = append(from.out, e)
}

// transition is where a state may lead under a condition.
type transition struct {
	to    *asl.State
	class class
	lines []string // each a condition
}

// transitions are the choices and catchers of a state. Those that lead to the
// same state are one.
func transitions(s *asl.State) []transition {
	var all []transition
	add := func(to *asl.State, c class, words string) {
		for i := range all {
			if all[i].to == to && all[i].class == c {
				all[i].lines = append(all[i].lines, words)
				return
			}
		}
		all = append(all, transition{to, c, []string{words}})
	}
	if s.Choice != nil {
		for i := range s.Choice.Rules {
			add(s.Choice.Rules[i].Next, flow, s.Choice.Rules[i].String())
		}
		if s.Choice.Default != nil {
			add(s.Choice.Default, flow, "Default")
		}
	}
	for i := range s.Catch {
		names := s.Catch[i].ErrorEquals
		words := strings.Join(names, ", ")
		if len(names) == 1 && names[0] == asl.ErrAll {
			words = "any error"
		}
		add(s.Catch[i].Next, caught, words)
	}
	return all
}

// layout places all items of the level, and of those inside them, around the
// level's own upper left corner.
func (l *level) layout() {
	for _, it := range l.items {
		if it.inner != nil {
			it.arrange()
		}
	}
	l.rank()
	l.addBends()
	l.order()
	l.place()
	l.route()
}

// moveTo moves the level's upper left corner.
func (l *level) moveTo(x, y int) {
	dx, dy := x-l.x, y-l.y
	l.x, l.y = x, y
	for _, it := range l.items {
		it.x += dx
		it.y += dy
		for _, inner := range it.inner {
			inner.moveTo(inner.x+dx, inner.y+dy)
		}
	}
	for _, e := range l.edges {
		for i := range e.points {
			e.points[i].x += dx
			e.points[i].y += dy
		}
	}
}
